import type { LentBuffers } from "./buffer-pool.ts";
import type { FileSource } from "./file-source.ts";
import { createHasher, type Hasher, hashStrideBytes, preferredAlgorithm } from "./hash.ts";
import { limits, chunkBytes as smallestChunk } from "./limits.ts";
import { fileDigest, type ManifestFile } from "./manifest.ts";

/**
 * The smallest chunk size, of 8 MiB doubled, at which these files have no more chunks than a manifest holds. Of a gang that
 * is each worker's share, but for a chunk of every file: there is none that is smaller than one.
 */
export function chooseChunkBytes(sizes: readonly number[], { workers }: { workers: number } = { workers: 1 }): number {
  let size = smallestChunk;
  const chunks = () => sizes.reduce((sum, bytes) => sum + Math.ceil(bytes / size), 0);
  const most = Math.max(limits.chunks / workers, sizes.length);
  while (chunks() > most) size *= 2;
  return size;
}

/**
 * Copies a file's bytes into buffers of the pool and hashes them there: what is hashed is what is written, whatever the
 * source does to its own memory meanwhile. While one buffer is filled, the others may be on their way to the disk.
 */
export class FileSealer {
  readonly #source: FileSource;
  readonly #chunkBytes: number;
  readonly #buffers: LentBuffers;
  readonly #chunks: string[] = [];
  #hasher: Hasher = createHasher();
  #inChunk = 0;
  #bytes = 0;
  #buffer: Uint8Array = new Uint8Array(0);
  #filled = 0;
  #hashed = 0;

  constructor(source: FileSource, { chunkBytes, buffers }: { chunkBytes: number; buffers: LentBuffers }) {
    this.#source = source;
    this.#chunkBytes = chunkBytes;
    this.#buffers = buffers;
  }

  /** The bytes to write. A piece is valid until the next is asked for, and for as long as somebody holds it. */
  async *pieces(signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    for await (const bytes of this.#source.chunks()) {
      for (let taken = 0; taken < bytes.byteLength; ) {
        if (this.#filled === 0) this.#buffer = await this.#buffers.next();
        taken += this.#take(bytes, taken);
        if (this.#filled < this.#buffer.byteLength) continue;
        signal?.throwIfAborted();
        yield this.#endPiece();
      }
    }
    if (this.#filled > 0) yield this.#endPiece();
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

  /**
   * Copies as much of the bytes as the buffer has room for, and hashes it in strides right behind the copy, while it is
   * still in the processor's cache. Returns how much.
   */
  #take(bytes: Uint8Array, from: number): number {
    const room = this.#buffer.byteLength - this.#filled;
    const end = from + Math.min(bytes.byteLength - from, room);
    for (let at = from; at < end; ) {
      const part = bytes.subarray(at, Math.min(end, at + hashStrideBytes - (this.#filled - this.#hashed)));
      this.#buffer.set(part, this.#filled);
      this.#filled += part.byteLength;
      at += part.byteLength;
      if (this.#filled - this.#hashed === hashStrideBytes) this.#hash();
    }
    return end - from;
  }

  #hash(): void {
    this.#hasher.update(this.#buffer.subarray(this.#hashed, this.#filled));
    this.#hashed = this.#filled;
  }

  /** Chunks are multiples of the buffer, so a full buffer never crosses a chunk's end. */
  #endPiece(): Uint8Array {
    this.#hash();
    const piece = this.#buffer.subarray(0, this.#filled);
    this.#bytes += piece.byteLength;
    this.#inChunk += piece.byteLength;
    this.#filled = 0;
    this.#hashed = 0;
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
