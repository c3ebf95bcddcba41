import type { FileSource } from "./file-source.ts";
import { createHasher, type Hasher, preferredAlgorithm } from "./hash.ts";
import { limits, chunkBytes as smallestChunk } from "./limits.ts";
import { fileDigest, type ManifestFile } from "./manifest.ts";

/** The smallest chunk size, of 8 MiB doubled, at which these files have no more chunks than a manifest holds. */
export function chooseChunkBytes(sizes: readonly number[]): number {
  let size = smallestChunk;
  const chunks = () => sizes.reduce((sum, bytes) => sum + Math.ceil(bytes / size), 0);
  while (chunks() > limits.chunks) size *= 2;
  return size;
}

/**
 * Passes a file's bytes on through one buffer and hashes them there: what is hashed is what is written, whatever the
 * source does to its own memory meanwhile.
 */
export class FileSealer {
  readonly #source: FileSource;
  readonly #chunkBytes: number;
  readonly #buffer: Uint8Array;
  readonly #chunks: string[] = [];
  #hasher: Hasher = createHasher();
  #inChunk = 0;
  #bytes = 0;

  constructor(source: FileSource, { chunkBytes, buffer }: { chunkBytes: number; buffer: Uint8Array }) {
    this.#source = source;
    this.#chunkBytes = chunkBytes;
    this.#buffer = buffer;
  }

  /** The bytes to write. A piece is valid until the next is asked for. */
  async *pieces(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    let filled = 0;
    for await (const bytes of this.#source.chunks()) {
      for (let taken = 0; taken < bytes.byteLength; ) {
        const part = bytes.subarray(taken, taken + this.#buffer.byteLength - filled);
        this.#buffer.set(part, filled);
        filled += part.byteLength;
        taken += part.byteLength;
        if (filled < this.#buffer.byteLength) continue;
        signal?.throwIfAborted();
        yield this.#hash(filled);
        filled = 0;
      }
    }
    if (filled > 0) yield this.#hash(filled);
    if (this.#inChunk > 0) this.#endChunk();
  }

  /** The file's line in the manifest, once all pieces are written. */
  seal(): ManifestFile {
    const { path, kind, bytes } = this.#source;
    if (this.#bytes !== bytes) throw new RangeError(`${path} was announced with ${bytes} bytes: ${this.#bytes} came`);
    const algorithm = preferredAlgorithm();
    const chunks = this.#chunks;
    const digest = fileDigest({ algorithm, chunks });
    return { path, kind, bytes, algorithm, digest, chunkBytes: this.#chunkBytes, chunks };
  }

  /** Chunks are multiples of the buffer, so a full buffer never crosses a chunk's end. */
  #hash(filled: number): Uint8Array {
    const piece = this.#buffer.subarray(0, filled);
    this.#hasher.update(piece);
    this.#inChunk += filled;
    this.#bytes += filled;
    if (this.#inChunk === this.#chunkBytes) this.#endChunk();
    return piece;
  }

  #endChunk(): void {
    const digest = this.#hasher.digest();
    this.#chunks.push(digest.slice(digest.indexOf(":") + 1));
    this.#hasher = createHasher();
    this.#inChunk = 0;
  }
}
