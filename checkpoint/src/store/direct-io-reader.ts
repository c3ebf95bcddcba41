import { constants } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { alignmentBytes, isAligned } from "../buffer-pool.ts";
import { directRefusal, openDirect, orRefused } from "./direct-io.ts";

/**
 * Reads a file past the page cache, so that the bytes are those on the device and not those that a writer left in this
 * machine's memory. Takes whole pages of the pool's memory at whole pages of the file; what is asked for otherwise, or
 * where the file system refuses, comes through the cache, and `cached` says so.
 */
export class DirectReader implements AsyncDisposable {
  readonly #handle: FileHandle;
  readonly #device: number;
  readonly #direct: FileHandle | null;
  #cached: string | undefined;

  private constructor(handle: FileHandle, { device, direct }: { device: number; direct: FileHandle | null }) {
    this.#handle = handle;
    this.#device = device;
    this.#direct = direct;
  }

  /** Opens `handle`'s file once more, under the path that it was opened by. `handle` stays the caller's. */
  static async open(path: string, handle: FileHandle): Promise<DirectReader> {
    const { dev: device, ino } = await handle.stat();
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const direct = await openDirect(path, { flags, device });
    const found = await direct?.stat();
    if (found?.ino === ino && found.dev === device) return new DirectReader(handle, { device, direct });
    // Another file has the name by now: this reader stays with the one that was opened.
    await direct?.close();
    return new DirectReader(handle, { device, direct: null });
  }

  get cached(): string | undefined {
    return this.#cached;
  }

  /** Fills `target` from `position` on; fewer bytes than asked for only at the end of the file. */
  async read(target: Uint8Array, position: number): Promise<number> {
    for (let done = 0; ; ) {
      const read = await this.#readSome(target.subarray(done), position + done);
      done += read;
      if (read === 0 || done === target.byteLength) return done;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#direct?.close();
  }

  async #readSome(target: Uint8Array, position: number): Promise<number> {
    const direct = this.#direct;
    const whole = position % alignmentBytes === 0 && target.byteLength % alignmentBytes === 0;
    if (direct !== null && whole && isAligned(target)) {
      const read = await orRefused(this.#device, () => direct.read(target, 0, target.byteLength, position));
      if (read !== null) return read.bytesRead;
    }
    const { bytesRead } = await this.#handle.read(target, 0, target.byteLength, position);
    if (bytesRead > 0) this.#cached ??= directRefusal(this.#device) ?? "it was not read in whole pages";
    return bytesRead;
  }
}
