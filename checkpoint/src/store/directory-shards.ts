import { lstat, readdir, rename, rm, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { directoryName, shardsName, workerName } from "../directory-name.ts";
import { manifestName } from "../file-path.ts";
import { limits } from "../limits.ts";
import { openPlain } from "./directory-files.ts";
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
import type { CheckpointWriter, ShardStore } from "./store.ts";

type Place = Readonly<{ step: number; attempt: number }>;

/**
 * The shards of a gang on a volume that all of its workers share. What is to be the checkpoint grows where no reader looks
 * for one, and gets its name in one rename when everything below it is durable (I3):
 *
 *     .shards-<step>-a<attempt>/.saving-w0001-.../   files + fsync ─► fsync directories ─┐ rename
 *                               checkpoint/w0001/    ◄── fsync checkpoint/ ──────────────┘
 *                               w0001.json           the seal: only now, by temporary file + fsync ─► rename ─► fsync
 *
 *     all seals are there ─► checkpoint/MANIFEST.json (+ fsync, rename, fsync checkpoint/) ─► rename to step-... ─► fsync data/
 */
export class DirectoryShards implements ShardStore {
  readonly #data: string;

  constructor(data: string) {
    this.#data = data;
  }

  async begin({ worker, ...place }: Place & Readonly<{ worker: number }>): Promise<CheckpointWriter> {
    const root = this.#root(place);
    const writer = new ShardWriter(root, worker);
    await accessing("begin a shard", root, async () => {
      await makeDirectory(root, { existing: "accept" });
      await makeDirectory(join(root, inside), { existing: "accept" });
      await syncDirectory(root);
      await syncDirectory(this.#data);
      await writer.begin();
    });
    return writer;
  }

  async seals(place: Place): Promise<Map<number, Uint8Array>> {
    const root = this.#root(place);
    const names = (await accessing("list shards", root, () => absentAsNull(() => readdir(root)))) ?? [];
    const found = new Map<number, Uint8Array>();
    for (const name of names.sort()) {
      const worker = sealedWorker(name);
      if (worker === null) continue;
      await using file = await openPlain(join(root, name));
      if (file === null) continue;
      const bytes = new Uint8Array(Math.min(file.bytes, limits.manifestBytes + 1));
      found.set(worker, bytes.subarray(0, await file.read(bytes, 0)));
    }
    return found;
  }

  async publish(place: Place, manifest: Uint8Array): Promise<"published" | "gone"> {
    const root = this.#root(place);
    const checkpoint = join(root, inside);
    const final = join(this.#data, directoryName(place.step, place.attempt));
    return accessing("publish the shards of a gang", final, async () => {
      const temporary = join(root, `.manifest-${newNonce()}`);
      // Whoever brings it together puts the same bytes: what an earlier try left may not be durable.
      const moved = await absentAsNull(async () => {
        await writeNewFile(temporary, [manifest]);
        await rename(temporary, join(checkpoint, manifestName));
        await syncDirectory(checkpoint);
        return nameIt(checkpoint, final);
      });
      // A power cut may have taken both names of what was being renamed from one directory to the other.
      if (moved === null && (await absentAsNull(() => lstat(final))) === null) return "gone";
      await syncDirectory(this.#data);
      return "published";
    });
  }

  #root(place: Place): string {
    return join(this.#data, shardsName(place));
  }
}

/**
 * Another process may have named it; and between two directories a power cut may leave a name in both: what has the final
 * one was complete before it got it.
 */
async function nameIt(checkpoint: string, final: string): Promise<"named" | "taken"> {
  try {
    await rename(checkpoint, final);
    return "named";
  } catch (error) {
    const code = errorCode(error);
    if (code === "ENOTEMPTY" || code === "EEXIST") return "taken";
    throw error;
  }
}

/** The directory among the shards that becomes the checkpoint. */
const inside = "checkpoint";

function sealName(worker: number): string {
  return `${workerName(worker)}.json`;
}

/** Whose seal has that name; null where it is none. */
function sealedWorker(name: string): number | null {
  const digits = /^w(\d{4,6})\.json$/.exec(name)?.[1];
  const worker = Number(digits);
  return digits === undefined || sealName(worker) !== name ? null : worker;
}

/** One worker's shard on its way in. */
class ShardWriter implements CheckpointWriter {
  readonly #root: string;
  readonly #tree: DirectoryTree;
  readonly #final: string;
  readonly #seal: string;

  constructor(root: string, worker: number) {
    this.#root = root;
    this.#tree = new DirectoryTree(join(root, `.saving-${workerName(worker)}-${newNonce()}`));
    this.#final = join(root, inside, workerName(worker));
    this.#seal = join(root, sealName(worker));
  }

  /** Nobody relies on what has no seal: what an earlier try of this worker left makes way, its seal first. */
  async begin(): Promise<void> {
    if ((await absentAsNull(() => unlink(this.#seal).then(() => true))) !== null) await syncDirectory(this.#root);
    await rm(this.#final, { recursive: true, force: true });
    await makeDirectory(this.#tree.path, { existing: "refuse" });
  }

  write(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
    return this.#tree.write(path, pieces);
  }

  async publish(manifest: Uint8Array): Promise<void> {
    await accessing("publish a shard", this.#final, async () => {
      await this.#tree.sync();
      await rename(this.#tree.path, this.#final);
      await syncDirectory(dirname(this.#final));
      const temporary = `${this.#tree.path}.json`;
      await writeNewFile(temporary, [manifest]);
      await rename(temporary, this.#seal);
      await syncDirectory(this.#root);
    });
  }

  async abandon(): Promise<void> {
    try {
      await rm(this.#tree.path, { recursive: true, force: true });
    } catch {
      // The save's own error is what the caller hears of; what stays goes with the rest of the step's shards.
    }
  }
}
