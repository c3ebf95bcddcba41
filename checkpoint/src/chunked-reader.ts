import { createHasher, type Hasher, hashStrideBytes } from "./hash.ts";
import type { ManifestFile } from "./manifest.ts";
import { type Place, readAhead } from "./read-ahead.ts";
import type { StoredFile } from "./store/store.ts";

/** Bytes that a reader was handed are not those that the manifest names. */
export class BytesDifferError extends Error {
  override readonly name = "BytesDifferError";
}

/**
 * Reads a file from its start to its end into memory of the caller's, and hashes every byte before it hands it out.
 * What was read may be used once `finish` has returned.
 */
export class ChunkedReader implements AsyncDisposable {
  readonly #file: StoredFile;
  readonly #expected: ManifestFile | null;
  readonly #places: Place[] = [];
  readonly #pieces: AsyncGenerator<Uint8Array>;
  #hasher: Hasher | null = null;
  /** What is there of the file and not handed out; its first `#ready` bytes are hashed. */
  #piece: Uint8Array = new Uint8Array(0);
  #ready = 0;
  #at = 0;

  /** A `signal` ends the reading at the next piece, with its reason. */
  constructor(file: StoredFile, expected: ManifestFile | null, { signal }: { signal?: AbortSignal | undefined } = {}) {
    this.#file = file;
    this.#expected = expected;
    this.#pieces = readAhead(file, { places: this.#places, signal });
    if (expected !== null && file.bytes !== expected.bytes) {
      throw new BytesDifferError(
        `Cannot use ${expected.path} because it has ${file.bytes} bytes: ${expected.bytes} named`,
      );
    }
  }

  /**
   * Says to what memory the bytes from a position on will be asked for, in whole or in parts, so that they need not be
   * copied there. What is being read already comes by a copy.
   */
  expect(place: Place): void {
    this.#places.push(place);
  }

  /** Fills the target with the next bytes. */
  async fill(target: Uint8Array): Promise<void> {
    for (let done = 0; done < target.byteLength; ) {
      if (this.#ready === 0) await this.#prepare();
      const size = Math.min(target.byteLength - done, this.#ready);
      const [from, to] = [this.#piece.subarray(0, size), target.subarray(done, done + size)];
      if (from.buffer !== to.buffer || from.byteOffset !== to.byteOffset) to.set(from);
      this.#piece = this.#piece.subarray(size);
      this.#ready -= size;
      this.#at += size;
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pieces.return(undefined);
  }

  /** Hashes the next few bytes; pieces never cross a chunk's end. They are copied next, while they are near. */
  async #prepare(): Promise<void> {
    if (this.#piece.byteLength === 0) {
      const { value, done } = await this.#pieces.next();
      if (done === true || value.byteLength === 0) {
        throw new BytesDifferError(`Cannot use a file because it ends at byte ${this.#at}`);
      }
      this.#piece = value;
    }
    this.#ready = Math.min(this.#piece.byteLength, hashStrideBytes);
    const expected = this.#expected;
    if (expected === null) return;
    this.#hasher ??= createHasher(expected.algorithm);
    this.#hasher.update(this.#piece.subarray(0, this.#ready));
    const end = this.#at + this.#ready;
    if (end % expected.chunkBytes === 0 || end === expected.bytes) this.#endChunk(expected);
  }

  #endChunk(expected: ManifestFile): void {
    const index = Math.floor(this.#at / expected.chunkBytes);
    const digest = this.#hasher?.digest();
    this.#hasher = null;
    if (digest !== `${expected.algorithm}:${expected.chunks[index]}`) {
      throw new BytesDifferError(`Cannot use ${expected.path} because chunk ${index} does not match: ${digest} seen`);
    }
  }
}
