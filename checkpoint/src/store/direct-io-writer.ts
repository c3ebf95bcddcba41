import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { alignmentBytes, hold, isAligned } from "../buffer-pool.ts";
import { openDirect, orRefused, writeFully } from "./direct-io.ts";

/** Below this, opening a file a second time costs more than the page cache does. */
const leastDirectBytes = 1024 * 1024;

/**
 * Fills a new file from its start: whole pages of the pool's memory past the page cache, several pieces on their way at
 * once, and everything else, such as the end of the file, through it:
 *
 *     | piece 0 direct | piece 1 direct | ... | last whole pages direct | rest |   then the caller's one fsync
 *
 * What is written directly fails at its own write; what went through the cache fails at the fsync of `handle`, which
 * therefore is the file's only one.
 */
export class NewFileWriter implements AsyncDisposable {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #inFlight = new Set<Promise<void>>();
  /** Opened for the first piece that is worth it; null where the file system does not take direct writes. */
  #direct: Promise<FileHandle | null> | undefined;
  #device = -1;
  #at = 0;
  #failure: { readonly error: unknown } | null = null;

  /** `handle` is of the new, empty file at `path`; it stays the caller's. */
  constructor(path: string, handle: FileHandle) {
    this.#path = path;
    this.#handle = handle;
  }

  /** Begins to write the next piece. Its memory may be used again once this has resolved and nobody holds it. */
  async add(piece: Uint8Array): Promise<void> {
    const release = hold(piece);
    const writing = this.#write(piece, this.#at);
    this.#at += piece.byteLength;
    if (release === null) return await writing;
    const settled = writing
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        release();
        this.#inFlight.delete(settled);
      });
    this.#inFlight.add(settled);
    if (this.#failure !== null) throw this.#failure.error;
  }

  /** Waits until everything is written, though not durable, and returns the file's size in bytes. */
  async end(): Promise<number> {
    await this.#settle();
    if (this.#failure !== null) throw this.#failure.error;
    return this.#at;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#settle();
    // Where it could not be opened, the write that needed it has failed.
    const direct = await this.#direct?.catch(() => null);
    await direct?.close();
  }

  async #settle(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
  }

  async #write(piece: Uint8Array, position: number): Promise<void> {
    const before = [...this.#inFlight];
    const done = await this.#writeDirectly(piece, position);
    if (done === piece.byteLength) return;
    // Pages that are written in both ways must not be under way in both at once.
    await Promise.all(before);
    await writeFully(this.#handle, piece.subarray(done), position + done);
  }

  /** How many bytes of the piece were written directly. */
  async #writeDirectly(piece: Uint8Array, position: number): Promise<number> {
    if (!isAligned(piece) || position % alignmentBytes !== 0) return 0;
    const whole = piece.byteLength - (piece.byteLength % alignmentBytes);
    if (whole === 0) return 0;
    if (this.#direct === undefined && piece.byteLength < leastDirectBytes) return 0;
    this.#direct ??= this.#open();
    const direct = await this.#direct;
    if (direct === null) return 0;
    for (let done = 0; done < whole; ) {
      const wrote = await orRefused(this.#device, () => direct.write(piece, done, whole - done, position + done));
      if (wrote === null) return done;
      done += wrote.bytesWritten;
      if (wrote.bytesWritten % alignmentBytes !== 0) return done;
    }
    return whole;
  }

  async #open(): Promise<FileHandle | null> {
    this.#device = (await this.#handle.stat()).dev;
    return openDirect(this.#path, { flags: constants.O_WRONLY | constants.O_NOFOLLOW, device: this.#device });
  }
}
