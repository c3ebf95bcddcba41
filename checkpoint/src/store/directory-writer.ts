import { randomUUID } from "node:crypto";
import { lstat, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { settlingName } from "../directory-name.ts";
import { manifestName } from "../file-path.ts";
import { directoryCheckpoint, withDefects } from "./directory-files.ts";
import { DirectoryTree } from "./directory-tree.ts";
import {
  absentAsNull,
  accessing,
  errorCode,
  makeDirectory,
  newNonce,
  syncDirectory,
  writeNewFile,
} from "./file-system.ts";
import type { CheckpointWriter, Publishing } from "./store.ts";

/** How often another process's repair of the same checkpoint may come between. */
const maxRounds = 3;

/**
 * A checkpoint being written to a file system. No reader looks at `.saving-...`; the final name appears in one rename,
 * when every byte and every name below it is durable (I3):
 *
 *     files + fsync ─► MANIFEST.json.tmp + fsync ─► rename ─► fsync directories ─► rename directory ─► fsync data/
 *
 * One that takes a damaged copy's place is `.settling-...` before that makes way: should the process die in between, whoever
 * opens the volume next gives it its name.
 */
export class DirectoryWriter implements CheckpointWriter {
  readonly #data: string;
  readonly #final: string;
  readonly #tree: DirectoryTree;
  /** Where the bytes are while nobody else may rely on them; null once they are published or abandoned. */
  #current: string | null;

  constructor({ data, saving, final }: { data: string; saving: string; final: string }) {
    this.#data = data;
    this.#tree = new DirectoryTree(join(data, saving));
    this.#current = this.#tree.path;
    this.#final = join(data, final);
  }

  /** Creates the directory that the files go to. */
  async begin(): Promise<void> {
    const directory = this.#directory();
    await accessing("begin a checkpoint", directory, () => makeDirectory(directory, { existing: "refuse" }));
  }

  async write(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    this.#directory();
    await this.#tree.write(path, pieces);
  }

  async publish(manifest: Uint8Array, { replace, confirm }: Publishing = { replace: false }): Promise<void> {
    const directory = this.#directory();
    await accessing("complete a checkpoint", directory, async () => {
      const temporary = join(directory, `${manifestName}.tmp`);
      await writeNewFile(temporary, [manifest]);
      await rename(temporary, join(directory, manifestName));
      await this.#tree.sync();
    });
    await confirm?.(directoryCheckpoint(directory));
    await accessing("publish a checkpoint", this.#final, async () => {
      if (replace && (await withDefects(this.#final, () => exists(this.#final)))) return this.#takePlace(directory);
      await rename(directory, this.#final);
      // From here on another attempt may adopt it and build on it, whatever this one is told of the sync.
      this.#current = null;
      await syncDirectory(this.#data);
    });
  }

  async abandon(): Promise<void> {
    const directory = this.#current;
    this.#current = null;
    if (directory === null) return;
    const trash = join(this.#data, `.trash-${directory.slice(this.#data.length + 1).replace(/^\./, "")}`);
    try {
      await rename(directory, trash);
    } catch {
      // The save's own error is what the caller hears of; what stays here is swept by the next restore.
      return;
    }
    await removeTrash(trash);
  }

  /**
   * Makes what has the final name make way, once this one is durable under a name that whoever opens the volume completes.
   * Another process may be repairing the same checkpoint: each has a name of its own aside, the last one stays, and what
   * made way goes for good only when something has the final name.
   */
  async #takePlace(directory: string): Promise<void> {
    const aside = join(this.#data, settlingName(basename(this.#final), newNonce()));
    await rename(directory, aside);
    // From here on whoever opens the volume may give it its name.
    this.#current = null;
    await syncDirectory(this.#data);
    const replaced: string[] = [];
    for (let round = 0; round < maxRounds && (await exists(aside)); round += 1) {
      const trash = await this.#makeWay(this.#final).catch((error: unknown) => {
        // Nobody but its writer removes what is aside.
        this.#current = aside;
        throw error;
      });
      if (trash !== null) replaced.push(trash);
      const outcome = await this.#takeName(aside);
      // What made way just now may have been this one, which somebody who opened the volume had given its name.
      if (outcome === "absent" && trash !== null) await this.#takeName(trash);
      if (outcome !== "taken") break;
    }
    await syncDirectory(this.#data);
    if (!(await exists(this.#final))) return;
    const leftAside = await this.#makeWay(aside);
    for (const trash of leftAside === null ? replaced : [...replaced, leftAside]) await removeTrash(trash);
  }

  async #makeWay(path: string): Promise<string | null> {
    const trash = join(this.#data, `.trash-${basename(this.#final)}-${randomUUID()}`);
    return withDefects(path, () => absentAsNull(() => rename(path, trash).then(() => trash)));
  }

  /** Gives it the final name, where it is still there and no other process has given that to another. */
  async #takeName(path: string): Promise<"named" | "absent" | "taken"> {
    try {
      return (await absentAsNull(() => rename(path, this.#final).then(() => "named" as const))) ?? "absent";
    } catch (error) {
      const code = errorCode(error);
      if (code === "ENOTEMPTY" || code === "EEXIST") return "taken";
      throw error;
    }
  }

  #directory(): string {
    if (this.#current === null) throw new Error(`Cannot write to ${this.#final} because its save has ended`);
    return this.#current;
  }
}

async function exists(path: string): Promise<boolean> {
  return (await absentAsNull(() => lstat(path))) !== null;
}

async function removeTrash(trash: string): Promise<void> {
  try {
    await rm(trash, { recursive: true, force: true });
  } catch {
    // What is damaged may not go. Nobody looks at it, and whoever prunes or sweeps tries again.
  }
}
