import { randomUUID } from "node:crypto";
import { link, readdir, rename, unlink } from "node:fs/promises";
import { join } from "node:path";
import { openPlain } from "./directory-files.ts";
import { absentAsNull, accessing, errorCode, syncDirectory, writeNewFile } from "./file-system.ts";
import { announcementName, parseAnnouncementName, parseRecordName, recordName } from "./log-names.ts";
import { removeStale } from "./stale.ts";
import type { AnnouncedOpen } from "./store.ts";

/** The log of a run in a directory: records under their numbers, and beside them the names that announce an `open`. */
export class DirectoryLog {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  async numbers(): Promise<number[]> {
    return (await this.#names()).flatMap((name) => parseRecordName(name) ?? []);
  }

  async read(number: number, limit: number): Promise<Uint8Array | null> {
    await using file = await openPlain(this.#recordPath(number));
    if (file === null) return null;
    const bytes = new Uint8Array(Math.min(file.bytes, limit + 1));
    return bytes.subarray(0, await file.read(bytes, 0));
  }

  /** Gives a record its number by a link to a file that is durable already, so that no reader sees half of it. */
  create(number: number, bytes: Uint8Array): Promise<"created" | "taken"> {
    return this.#withDurable("append to the log", bytes, async (temporary) => {
      try {
        await link(temporary, this.#recordPath(number));
      } catch (error) {
        if (errorCode(error) === "EEXIST") return "taken";
        throw error;
      }
      return "created";
    });
  }

  /** Puts a durable new file with the same bytes in a record's place: readers see one or the other, which are equal. */
  async rewrite(number: number, bytes: Uint8Array): Promise<void> {
    await this.#withDurable("secure a record of the log", bytes, (temporary) =>
      rename(temporary, this.#recordPath(number)),
    );
  }

  async announce(open: AnnouncedOpen): Promise<void> {
    await this.#withDurable("announce an open", new Uint8Array(0), (temporary) =>
      rename(temporary, join(this.#path, announcementName(open))),
    );
  }

  async announced(): Promise<AnnouncedOpen[]> {
    return (await this.#names()).flatMap((name) => parseAnnouncementName(name) ?? []);
  }

  async remove(ascending: readonly number[]): Promise<void> {
    // One by one and durably: a reader, or a writer that slept, must never see a hole above a record that is left.
    for (const number of ascending) {
      await accessing("prune the log", this.#path, async () => {
        await absentAsNull(() => unlink(this.#recordPath(number)));
        await syncDirectory(this.#path);
      });
    }
    const highest = ascending.at(-1) ?? 0;
    for (const name of await this.#names()) {
      if ((parseAnnouncementName(name)?.number ?? Number.POSITIVE_INFINITY) > highest) continue;
      await accessing("prune the log", this.#path, () => absentAsNull(() => unlink(join(this.#path, name))));
    }
  }

  removeTemporaries(): Promise<void> {
    return accessing("sweep the log", this.#path, () => removeStale(this.#path, [".tmp-"]));
  }

  /** Every file in the log comes to its name from a temporary one whose bytes are durable; then the name is made so. */
  async #withDurable<T>(what: string, bytes: Uint8Array, name: (temporary: string) => Promise<T>): Promise<T> {
    const temporary = join(this.#path, `.tmp-${randomUUID()}`);
    return accessing(what, this.#path, async () => {
      try {
        await writeNewFile(temporary, [bytes]);
        const outcome = await name(temporary);
        await syncDirectory(this.#path);
        return outcome;
      } finally {
        await absentAsNull(() => unlink(temporary));
      }
    });
  }

  async #names(): Promise<string[]> {
    return (await accessing("list the log", this.#path, () => readdir(this.#path))).sort();
  }

  #recordPath(number: number): string {
    return join(this.#path, recordName(number));
  }
}
