import { lstat, unlink } from "node:fs/promises";
import { dirname } from "node:path";
import { absentAsNull, errorCode, syncDirectory, writeNewFile } from "./file-system.ts";
import type { Reserve } from "./store.ts";

/** More than a record of tombstones takes. */
const reservedBytes = 64 * 1024;

/** A file that is of no use but for the inode and the blocks it has. */
export class DirectoryReserve implements Reserve {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async keep(): Promise<void> {
    try {
      const found = await absentAsNull(() => lstat(this.#path));
      if (found !== null && found.size >= reservedBytes) return;
      await absentAsNull(() => unlink(this.#path));
      await writeNewFile(this.#path, [new Uint8Array(reservedBytes)]);
    } catch (error) {
      // Whatever the volume refuses here, it refuses what is really asked of it as well, and there it is told.
      if (errorCode(error) === undefined) throw error;
    }
  }

  async release(): Promise<boolean> {
    try {
      await unlink(this.#path);
      // Only what is durably free can be had again on every file system.
      await syncDirectory(dirname(this.#path));
      return true;
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      return false;
    }
  }
}
