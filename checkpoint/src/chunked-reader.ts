import { createHasher, type Hasher } from "./hash.ts";
import { chunkBytes as pieceBytes } from "./limits.ts";
import type { ManifestFile } from "./manifest.ts";
import type { StoredFile } from "./store/store.ts";

/** Bytes that a reader was handed are not those that the manifest names. */
export class BytesDifferError extends Error {
  override readonly name = "BytesDifferError";
}

/**
 * Reads a file from its start to its end into memory of the caller's, and hashes every byte that it hands out. What was
 * read may be used once `finish` has returned.
 */
export class ChunkedReader {
  readonly #file: StoredFile;
  readonly #expected: ManifestFile | null;
  #hasher: Hasher | null = null;
  #at = 0;

  constructor(file: StoredFile, expected: ManifestFile | null) {
    this.#file = file;
    this.#expected = expected;
    if (expected !== null && file.bytes !== expected.bytes) {
      throw new BytesDifferError(
        `Cannot use ${expected.path} because it has ${file.bytes} bytes: ${expected.bytes} named`,
      );
    }
  }

  /** Fills the target with the next bytes. */
  async fill(target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.byteLength; ) {
      const size = Math.min(target.byteLength - done, pieceBytes, this.#leftInChunk());
      const piece = target.subarray(done, done + size);
      const read = await this.#file.read(piece, this.#at);
      if (read < size) throw new BytesDifferError(`Cannot use a file because it ends at byte ${this.#at + read}`);
      this.#advance(piece);
      done += size;
    }
  }

  /** Says that all bytes were read and matched. */
  finish(): void {
    if (this.#at !== this.#file.bytes) {
      throw new BytesDifferError(
        `Cannot use a file because only ${this.#at} of ${this.#file.bytes} bytes were matched`,
      );
    }
  }

  #leftInChunk(): number {
    if (this.#expected === null) return pieceBytes;
    return this.#expected.chunkBytes - (this.#at % this.#expected.chunkBytes);
  }

  #advance(piece: Uint8Array): void {
    const expected = this.#expected;
    const begin = this.#at;
    this.#at += piece.byteLength;
    if (expected === null) return;
    this.#hasher ??= createHasher(expected.algorithm);
    this.#hasher.update(piece);
    if (this.#at % expected.chunkBytes !== 0 && this.#at !== expected.bytes) return;
    const index = Math.floor(begin / expected.chunkBytes);
    const digest = this.#hasher.digest();
    this.#hasher = null;
    if (digest !== `${expected.algorithm}:${expected.chunks[index]}`) {
      throw new BytesDifferError(`Cannot use ${expected.path} because chunk ${index} does not match: ${digest} seen`);
    }
  }
}
