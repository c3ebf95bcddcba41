import { randomUUID } from "node:crypto";
import { link, lstat, mkdir, readdir, rename, rm, rmdir, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { directoryName, parseSettlingName, settlingName } from "../directory-name.ts";
import type { CheckpointRef } from "../log/state.ts";
import { directoryCheckpoint } from "./directory-files.ts";
import { DirectoryLog } from "./directory-log.ts";
import { pointName, temporaryName } from "./directory-names.ts";
import { DirectoryReserve } from "./directory-reserve.ts";
import { DirectoryShards } from "./directory-shards.ts";
import { DirectoryWriter } from "./directory-writer.ts";
import {
  absentAsNull,
  accessing,
  errorCode,
  makeDirectory,
  newNonce,
  syncDirectory,
  writeNewFile,
} from "./file-system.ts";
import { removeStale } from "./stale.ts";
import {
  type AnnouncedOpen,
  type CheckpointName,
  type CheckpointWriter,
  StorageUnavailableError,
  type Store,
  type StoredCheckpoint,
} from "./store.ts";

/**
 * Opens a run's directory on a volume, the one that holds `log/` and `data/`, and creates both where they are absent.
 * Proves first that names can be created exclusively there: the log rests on it.
 */
export async function openDirectoryStore(root: string, { runUid }: { runUid: string }): Promise<DirectoryStore> {
  const directory = resolve(root);
  return accessing("open the checkpoints", directory, async () => {
    const first = await mkdir(directory, { recursive: true });
    if (first !== undefined) await syncNames({ first, last: directory });
    for (const name of ["log", "data"]) await makeDirectory(join(directory, name), { existing: "accept" });
    await syncDirectory(directory);
    await probe(directory);
    await finishSettling(join(directory, "data"));
    return new DirectoryStore(directory, runUid);
  });
}

/** The volume tier of one run. */
export class DirectoryStore implements Store {
  readonly tier = "Volume";
  readonly runUid: string;
  /** Absolute path of the run's directory. */
  readonly root: string;
  readonly reserve: DirectoryReserve;
  readonly shards: DirectoryShards;
  readonly #log: DirectoryLog;
  readonly #data: string;

  /** Use {@link openDirectoryStore}, which proves that the directory can be used. */
  constructor(root: string, runUid: string) {
    this.root = root;
    this.runUid = runUid;
    this.reserve = new DirectoryReserve(join(root, "log", ".reserve"));
    this.#log = new DirectoryLog(join(root, "log"));
    this.#data = join(root, "data");
    this.shards = new DirectoryShards(this.#data);
  }

  recordNumbers(): Promise<number[]> {
    return this.#log.numbers();
  }

  readRecord(number: number, limit: number): Promise<Uint8Array | null> {
    return this.#log.read(number, limit);
  }

  createRecord(number: number, bytes: Uint8Array): Promise<"created" | "taken"> {
    return this.#log.create(number, bytes);
  }

  rewriteRecord(number: number, bytes: Uint8Array): Promise<void> {
    return this.#log.rewrite(number, bytes);
  }

  announceOpen(open: AnnouncedOpen): Promise<void> {
    return this.#log.announce(open);
  }

  announcedOpens(): Promise<AnnouncedOpen[]> {
    return this.#log.announced();
  }

  removeRecords(ascending: readonly number[]): Promise<void> {
    return this.#log.remove(ascending);
  }

  async removeTemporaries(): Promise<void> {
    await this.#log.removeTemporaries();
    for (const name of ["log", "data"]) {
      const directory = join(this.root, name);
      await accessing("sweep", directory, () => removeStale(directory, [".probe-"]));
    }
    await accessing("sweep", this.root, () => removeStale(this.root, [temporaryName]));
  }

  names(): Promise<string[]> {
    return accessing("list the checkpoints", this.#data, async () => (await readdir(this.#data)).sort());
  }

  checkpoint(directory: string): StoredCheckpoint {
    return directoryCheckpoint(this.#path(directory));
  }

  async begin({ step, attempt }: { step: number; attempt: number }): Promise<CheckpointWriter> {
    const saving = `.saving-${step}-a${attempt}-${newNonce()}`;
    const writer = new DirectoryWriter({ data: this.#data, saving, final: directoryName(step, attempt) });
    await writer.begin();
    return writer;
  }

  async settle(directory: string): Promise<void> {
    const path = this.#path(directory);
    await accessing("settle a checkpoint", path, async () => {
      const aside = this.#path(settlingName(directory, newNonce()));
      const isAside = await absentAsNull(() => rename(path, aside).then(() => true));
      // Where a settling was cut off it is aside already; and whoever opens the volume just now gives it its name.
      if (isAside === null) await finishSettling(this.#data, directory);
      else await absentAsNull(() => rename(aside, path));
      await lstat(path);
      await syncDirectory(this.#data);
    });
  }

  point(name: CheckpointName, to: CheckpointRef | null): Promise<void> {
    return pointName(this.root, name, to?.directory ?? null);
  }

  async remove(name: string): Promise<void> {
    const path = this.#path(name);
    await accessing("remove a checkpoint", path, async () => {
      const trash = name.startsWith(".trash-")
        ? path
        : join(this.#data, `.trash-${name.replace(/^\./, "")}-${randomUUID()}`);
      if (trash !== path) {
        const renamed = await absentAsNull(async () => rename(path, trash).then(() => true));
        if (renamed === null) return;
        await syncDirectory(this.#data);
      }
      await rm(trash, { recursive: true, force: true });
    });
  }

  #path(name: string): string {
    if (name === "" || name === "." || name === ".." || name.includes("/")) {
      throw new RangeError(`Cannot name a checkpoint ${JSON.stringify(name)} because it must be one plain segment`);
    }
    return join(this.#data, name);
  }
}

/** Makes the names of directories durable that were made one in the other, each in its parent. */
async function syncNames({ first, last }: { first: string; last: string }): Promise<void> {
  for (let made = last; made.length >= first.length; made = dirname(made)) await syncDirectory(dirname(made));
}

/** Gives a checkpoint its name whose settling, or whose repair, was cut off between its two renames. */
async function finishSettling(data: string, only?: string): Promise<void> {
  const names = new Set(await readdir(data));
  for (const aside of [...names].sort()) {
    const name = parseSettlingName(aside);
    if (name === null || names.has(name) || (only ?? name) !== name) continue;
    try {
      await rename(join(data, aside), join(data, name));
      names.add(name);
    } catch (error) {
      // Another process gives it its name itself, or the device does not let go of it: the others are not to wait for it.
      if (errorCode(error) === undefined) throw error;
    }
  }
}

/** Creates, links and removes a file, and a directory beside the checkpoints: what every later write needs. */
async function probe(root: string): Promise<void> {
  const first = join(root, "log", `.probe-${randomUUID()}`);
  const second = `${first}.link`;
  try {
    await writeNewFile(first, [new TextEncoder().encode("probe")]);
    await link(first, second);
    const again = await link(first, second).then(() => "created", errorCode);
    if (again !== "EEXIST") {
      throw new StorageUnavailableError(
        `Cannot keep a log in ${dirname(first)} because the file system does not create names exclusively: a second link gave ${again}`,
      );
    }
  } finally {
    for (const path of [first, second]) await absentAsNull(() => unlink(path));
  }
  const directory = join(root, "data", `.probe-${randomUUID()}`);
  await mkdir(directory);
  await absentAsNull(() => rmdir(directory));
}
