import { canonicalJson } from "../../canonical-json.ts";
import { directoryName } from "../../directory-name.ts";
import { parseRecord, UnknownRecordVersionError } from "../../log/record.ts";
import type { CheckpointRef } from "../../log/state.ts";
import { announcementName, parseAnnouncementName, parseRecordName, recordName } from "../log-names.ts";
import type { AnnouncedOpen, CheckpointName, CheckpointWriter, Store, StoredCheckpoint } from "../store.ts";
import { ObjectClient } from "./object-client.ts";
import { objectCheckpoint } from "./object-files.ts";
import { ObjectStoreError } from "./object-store-error.ts";
import { ObjectWriter } from "./object-writer.ts";
import type { ObjectStoreAddress, Patience } from "./requests.ts";

/** Where a run's objects lie, and who asks. */
export type ObjectStoreOptions = ObjectStoreAddress &
  Readonly<{
    runUid: string;
    /** Names below which runs are kept, without slashes at its ends; empty for the bucket itself. */
    prefix?: string | undefined;
    patience?: Patience;
    /** Ends every request. */
    signal?: AbortSignal;
  }>;

const manyKeys = 1_000_000;
/** So many numbers that a listing leaves out are looked for; below a wider gap there is only what a late writer left. */
const maxGapLooks = 64;
const maxRecordReads = 3;

/**
 * Opens a run's objects in a bucket, once the bucket is found to be there, and asks the store whether it creates keys
 * exclusively, which the fence rests on.
 */
export async function openObjectStore(options: ObjectStoreOptions): Promise<ObjectStore> {
  const client = new ObjectClient(options);
  const root = runPrefix(options);
  try {
    await client.firstPage(root);
    return new ObjectStore(client, { root, runUid: options.runUid, fences: await createsExclusively(client, root) });
  } catch (error) {
    client.close();
    throw error;
  }
}

/** Opens another run's objects to read them: the store is asked for nothing but lists and bytes. */
export async function readObjectStore(options: ObjectStoreOptions): Promise<ObjectStore> {
  const client = new ObjectClient(options);
  const root = runPrefix(options);
  try {
    await client.firstPage(root);
    return new ObjectStore(client, { root, runUid: options.runUid, fences: false });
  } catch (error) {
    client.close();
    throw error;
  }
}

/**
 * Removes everything of a run from its bucket; a run that has nothing there is fine, a bucket that is not there is not.
 * Nothing is asked of the store but to list and delete: it may be full, or allow no more.
 */
export async function removeRunObjects(options: ObjectStoreOptions): Promise<void> {
  const client = new ObjectClient(options);
  const store = new ObjectStore(client, { root: runPrefix(options), runUid: options.runUid, fences: false });
  try {
    await store.removeRun();
  } finally {
    store.close();
  }
}

/** The object-store tier of one run: the same names as on a volume, as keys. */
export class ObjectStore implements Store {
  readonly tier = "ObjectStore";
  readonly runUid: string;
  /** Whether the store honours conditional creates. Without them two writers may both believe that they won a number. */
  readonly fences: boolean;
  readonly #client: ObjectClient;
  readonly #root: string;
  /** Where the names lead since this process moved them: each is asked for after every upload. */
  readonly #pointed = new Map<CheckpointName, string | undefined>();

  /** Use {@link openObjectStore}, which asks the store what it can do. */
  constructor(client: ObjectClient, { root, runUid, fences }: { root: string; runUid: string; fences: boolean }) {
    this.#client = client;
    this.#root = root;
    this.runUid = runUid;
    this.fences = fences;
  }

  /** A listing may lag behind; a single key does not. */
  async recordNumbers(): Promise<number[]> {
    const listed = (await this.#logNames()).flatMap((name) => parseRecordName(name) ?? []).sort((a, b) => a - b);
    const [lowest = 0, top = 0] = [listed[0], listed.at(-1)];
    const found: number[] = [];
    for (let next = top + 1; await this.#hasRecord(next); next += 1) found.push(next);
    const known = new Set(listed);
    for (let number = top, looks = 0; number > lowest && looks < maxGapLooks; number -= 1) {
      if (known.has(number)) continue;
      looks += 1;
      if (await this.#hasRecord(number)) found.push(number);
    }
    return [...listed, ...found].sort((a, b) => a - b);
  }

  /** What differs is read again before it counts: a record that is damaged in a store may have been damaged on its way. */
  async readRecord(number: number, limit: number): Promise<Uint8Array | null> {
    for (let reads = 1; ; reads += 1) {
      const bytes = await this.#client.readWhole(this.#recordKey(number), limit + 1);
      if (bytes === null || reads === maxRecordReads || isWhole(number, bytes)) return bytes;
    }
  }

  async createRecord(number: number, bytes: Uint8Array): Promise<"created" | "taken"> {
    const key = this.#recordKey(number);
    if (this.fences)
      return (await this.#client.put(key, bytes, { ifAbsent: true })) === "created" ? "created" : "taken";
    if (await this.#hasRecord(number)) return "taken";
    await this.#client.put(key, bytes, { ifAbsent: false });
    // Another writer may have put its own over it; who comes last stays.
    const found = await this.#client.readWhole(key, bytes.byteLength + 1);
    return found !== null && Buffer.compare(found, bytes) === 0 ? "created" : "taken";
  }

  /** Nothing to do: an object that can be read is stored. */
  async rewriteRecord(): Promise<void> {}

  async announceOpen(open: AnnouncedOpen): Promise<void> {
    await this.#client.put(this.#announcementKey(open), new Uint8Array(0), { ifAbsent: false });
  }

  async announcedOpens(): Promise<AnnouncedOpen[]> {
    return (await this.#logNames()).flatMap((name) => parseAnnouncementName(name) ?? []);
  }

  async removeRecords(ascending: readonly number[]): Promise<void> {
    const last = ascending.at(-1);
    if (last === undefined) return;
    for (const number of ascending) await this.#client.remove([this.#recordKey(number)]);
    const announced = (await this.announcedOpens()).filter(({ number }) => number <= last);
    await this.#client.remove(announced.map((open) => this.#announcementKey(open)));
  }

  async names(): Promise<string[]> {
    return (await this.#client.folders(`${this.#root}data/`)).sort();
  }

  checkpoint(directory: string): StoredCheckpoint {
    return objectCheckpoint(this.#client, this.#prefixOf(directory));
  }

  async begin({ step, attempt }: { step: number; attempt: number }): Promise<CheckpointWriter> {
    return new ObjectWriter(this.#client, this.#prefixOf(directoryName(step, attempt)));
  }

  /** Nothing to do: an object that can be read is stored. */
  async settle(): Promise<void> {}

  /** Gives up uploads that were begun and not ended. Only the open attempt asks, when it has none on its way. */
  async removeTemporaries(): Promise<void> {
    await this.#client.uploads.giveUp(`${this.#root}data/`);
  }

  async point(name: CheckpointName, to: CheckpointRef | null): Promise<void> {
    if (this.#pointed.has(name) && this.#pointed.get(name) === to?.digest) return;
    const key = `${this.#root}${name}.json`;
    const text = canonicalJson({ version: 1, name, ...to });
    if (to === null) await this.#client.remove([key]);
    else await this.#client.put(key, new TextEncoder().encode(text), { ifAbsent: false });
    this.#pointed.set(name, to?.digest);
  }

  async remove(name: string): Promise<void> {
    const prefix = this.#prefixOf(name);
    const keys = await this.#client.list(prefix, manyKeys);
    // The manifest first: what is left then is no checkpoint, whoever dies here.
    const manifest = keys.filter(({ key }) => key === `${prefix}MANIFEST.json`);
    const others = keys.filter(({ key }) => key !== `${prefix}MANIFEST.json`);
    await this.#client.remove(manifest.map(({ key }) => key));
    await this.#client.remove(others.map(({ key }) => key));
  }

  /** Removes everything of this run, its log after its checkpoints, so that a killed removal can be repeated. */
  async removeRun(): Promise<void> {
    for (const name of await this.names()) await this.remove(name);
    const keys = await this.#client.list(this.#root, manyKeys);
    await this.#client.remove(keys.map(({ key }) => key));
    await this.removeTemporaries();
  }

  /** Closes idle connections. */
  close(): void {
    this.#client.close();
  }

  #hasRecord(number: number): Promise<boolean> {
    return this.#client.has(this.#recordKey(number));
  }

  async #logNames(): Promise<string[]> {
    const log = `${this.#root}log/`;
    const keys = await this.#client.list(log, manyKeys);
    return keys.map(({ key }) => key.slice(log.length));
  }

  #recordKey(number: number): string {
    return `${this.#root}log/${recordName(number)}`;
  }

  #announcementKey(open: AnnouncedOpen): string {
    return `${this.#root}log/${announcementName(open)}`;
  }

  #prefixOf(name: string): string {
    if (name === "" || name === "." || name === ".." || name.includes("/")) {
      throw new RangeError(`Cannot name a checkpoint ${JSON.stringify(name)} because it must be one plain segment`);
    }
    return `${this.#root}data/${name}/`;
  }
}

function runPrefix({ prefix, runUid }: ObjectStoreOptions): string {
  const trimmed = (prefix ?? "").replace(/^\/+|\/+$/g, "");
  return trimmed === "" ? `${runUid}/` : `${trimmed}/${runUid}/`;
}

/** Creates a key that is there, from this time or an earlier one: that must be refused. */
async function createsExclusively(client: ObjectClient, root: string): Promise<boolean> {
  const create = () => client.put(`${root}probe`, new TextEncoder().encode("probe"), { ifAbsent: true });
  try {
    return (await create()) === "exists" || (await create()) === "exists";
  } catch (error) {
    if (error instanceof ObjectStoreError && error.problem === "ConditionsUnsupported") return false;
    throw error;
  }
}

function isWhole(number: number, bytes: Uint8Array): boolean {
  try {
    return "record" in parseRecord(number, bytes);
  } catch (error) {
    if (error instanceof UnknownRecordVersionError) return true;
    throw error;
  }
}
