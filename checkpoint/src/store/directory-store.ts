import { randomUUID } from "node:crypto";
import { link, mkdir, readdir, rename, rm, rmdir, unlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { directoryName } from "../directory-name.ts";
import { directoryCheckpoint, openPlain } from "./directory-files.ts";
import { DirectoryWriter } from "./directory-writer.ts";
import { absentAsNull, accessing, errorCode, makeDirectory, syncDirectory, writeNewFile } from "./file-system.ts";
import { type CheckpointWriter, StorageUnavailableError, type Store, type StoredCheckpoint } from "./store.ts";

const recordName = /^(\d{12})\.json$/;
const maxLinkTries = 3;

/**
 * Opens a run's directory on a volume, the one that holds `log/` and `data/`, and creates both where they are absent.
 * Proves first that names can be created exclusively there: the log rests on it.
 */
export async function openDirectoryStore(root: string, { runUid }: { runUid: string }): Promise<DirectoryStore> {
  const directory = resolve(root);
  return accessing("open the checkpoints", directory, async () => {
    await mkdir(directory, { recursive: true });
    for (const name of ["log", "data"]) await makeDirectory(join(directory, name), { existing: "accept" });
    await syncDirectory(directory);
    await probe(directory);
    return new DirectoryStore(directory, runUid);
  });
}

/** The volume tier of one run. */
export class DirectoryStore implements Store {
  readonly tier = "Volume";
  readonly runUid: string;
  /** Absolute path of the run's directory. */
  readonly root: string;
  readonly #log: string;
  readonly #data: string;

  /** Use {@link openDirectoryStore}, which proves that the directory can be used. */
  constructor(root: string, runUid: string) {
    this.root = root;
    this.runUid = runUid;
    this.#log = join(root, "log");
    this.#data = join(root, "data");
  }

  async recordNumbers(): Promise<number[]> {
    const names = await accessing("list the log", this.#log, () => readdir(this.#log));
    return names
      .flatMap((name) => recordName.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  async readRecord(number: number, limit: number): Promise<Uint8Array | null> {
    const path = this.#recordPath(number);
    await using file = await openPlain(path);
    if (file === null) return null;
    const bytes = new Uint8Array(Math.min(file.bytes, limit + 1));
    return bytes.subarray(0, await file.read(bytes, 0));
  }

  async createRecord(number: number, bytes: Uint8Array): Promise<"created" | "taken"> {
    return accessing("append to the log", this.#log, async () => {
      for (let tries = 1; ; tries += 1) {
        const outcome = await this.#link(this.#recordPath(number), bytes);
        if (outcome !== "swept" || tries === maxLinkTries) return outcome === "swept" ? "taken" : outcome;
      }
    });
  }

  async removeRecords(ascending: readonly number[]): Promise<void> {
    // One by one and durably: a reader, or a writer that slept, must never see a hole above a record that is left.
    for (const number of ascending) {
      await accessing("prune the log", this.#log, async () => {
        await absentAsNull(() => unlink(this.#recordPath(number)));
        await syncDirectory(this.#log);
      });
    }
  }

  async removeTemporaries(): Promise<void> {
    await accessing("sweep the log", this.#log, async () => {
      for (const name of await readdir(this.#log)) {
        if (name.startsWith(".tmp-")) await absentAsNull(() => unlink(join(this.#log, name)));
      }
    });
  }

  names(): Promise<string[]> {
    return accessing("list the checkpoints", this.#data, async () => (await readdir(this.#data)).sort());
  }

  checkpoint(directory: string): StoredCheckpoint {
    return directoryCheckpoint(this.#path(directory));
  }

  async begin({ step, attempt }: { step: number; attempt: number }): Promise<CheckpointWriter> {
    const nonce = randomUUID().replaceAll("-", "");
    const saving = `.saving-${step}-a${attempt}-${nonce}`;
    const writer = new DirectoryWriter({ data: this.#data, saving, final: directoryName(step, attempt) });
    await writer.begin();
    return writer;
  }

  settle(): Promise<void> {
    return accessing("settle the checkpoints", this.#data, () => syncDirectory(this.#data));
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

  /** Gives a record its number by a link to a file that is durable already, so that no reader sees half of it. */
  async #link(path: string, bytes: Uint8Array): Promise<"created" | "taken" | "swept"> {
    const temporary = join(this.#log, `.tmp-${randomUUID()}`);
    await writeNewFile(temporary, [bytes]);
    try {
      await link(temporary, path);
      await syncDirectory(this.#log);
      return "created";
    } catch (error) {
      if (errorCode(error) === "EEXIST") return "taken";
      // A sweep took the temporary file away under this append.
      if (errorCode(error) === "ENOENT") return "swept";
      throw error;
    } finally {
      await absentAsNull(() => unlink(temporary));
    }
  }

  #recordPath(number: number): string {
    return join(this.#log, `${String(number).padStart(12, "0")}.json`);
  }

  #path(name: string): string {
    if (name === "" || name === "." || name === ".." || name.includes("/")) {
      throw new RangeError(`Cannot name a checkpoint ${JSON.stringify(name)} because it must be one plain segment`);
    }
    return join(this.#data, name);
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
