import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { canonicalJson } from "../src/canonical-json.ts";
import { shardsName } from "../src/directory-name.ts";
import { jsonFile } from "../src/file-source.ts";
import { copyFork } from "../src/fork.ts";
import { type LogRecord, type RecordDraft, recordBytes, recordVersion } from "../src/log/record.ts";
import { commitOf, type SavedCheckpoint } from "../src/save.ts";
import { publishShards } from "../src/shards/commit-shards.ts";
import { saveShard } from "../src/shards/save-shard.ts";
import { type DirectoryStore, openDirectoryStore } from "../src/store/directory-store.ts";
import { recordName } from "../src/store/log-names.ts";
import { flipBit } from "./damage.ts";
import { append, goldenFiles, goldenRunUid, minute, open, saidOf, save, writeGoldenRun, writer } from "./golden-run.ts";
import { seal } from "./seal.ts";

/**
 * The golden runs, each in `golden/` under its name, with what a reader finds in it beside it (`<name>.json`). What
 * differs from one machine or moment to the next is in none. `node checkpoint/test/golden-histories.ts <name> <directory>`
 * writes one; `v1-sha256` is `v1` written by a process that has no BLAKE3.
 */
export const goldenRuns: Readonly<Record<string, (root: string) => Promise<void>>> = {
  v1: writeGoldenRun,
  "v1-rollback": writeRollback,
  "v1-damaged": writeDamaged,
  "v1-fork": writeFork,
  "v1-gang": writeGang,
  "future-format": writeFutureFormat,
  "future-record": writeFutureRecord,
};

/**
 * A run that was taken back from step 30 to step 10: a commit of the attempt that was left comes too late, what was left
 * is deleted, the newest attempt has renewed its `open`, and the log's prefix is pruned.
 */
async function writeRollback(root: string): Promise<void> {
  const store = await openDirectoryStore(root, { runUid: goldenRunUid });
  await open(store, { attempt: 1, base: null });
  const ten = await small(store, { attempt: 1, step: 10, parent: null });
  await small(store, { attempt: 1, step: 20, parent: null });
  const thirty = await small(store, { attempt: 1, step: 30, parent: null });
  await open(store, { attempt: 2, base: ten.manifest.digest });
  const twelve = await small(store, { attempt: 2, step: 12, parent: ten.manifest.digest });
  await append(store, { kind: "delete", attempt: 2, manifests: [thirty.manifest.digest], why: "left behind" });
  await store.remove(thirty.directory);
  const base = twelve.manifest.digest;
  await open(store, { attempt: 3, base });
  await small(store, { attempt: 3, step: 15, parent: base });
  await open(store, { attempt: 3, base });
  await put(store, commitOf({ ...thirty.manifest, step: 40, digest: `blake3:${"4".repeat(64)}` }));
  await small(store, { attempt: 3, step: 18, parent: base });
  await store.removeRecords([1, 2, 3, 4, 5, 6, 7]);
}

/**
 * A log with a torn commit, an `open` that was announced and zeroed, a commit above it that counts for nothing, a number
 * that is missing, and a refusal by an attempt that is about to open; and a checkpoint with one bit flipped.
 */
async function writeDamaged(root: string): Promise<void> {
  const store = await openDirectoryStore(root, { runUid: goldenRunUid });
  await open(store, { attempt: 1, base: null });
  await small(store, { attempt: 1, step: 10, parent: null });
  const twenty = await small(store, { attempt: 1, step: 20, parent: null });
  await small(store, { attempt: 1, step: 30, parent: null });
  const forty = await small(store, { attempt: 1, step: 40, parent: null });
  await open(store, { attempt: 2, base: forty.manifest.digest });
  await small(store, { attempt: 2, step: 50, parent: forty.manifest.digest });
  await append(store, { kind: "done", attempt: 2, manifest: forty.manifest.digest });
  const { digest: manifest } = twenty.manifest;
  const message = "two of its files were swapped";
  await append(store, { kind: "refuse", attempt: 3, manifest, reason: "BytesDiffer", message, node: "node-b" });
  truncateSync(join(root, "log", recordName(4)), 100);
  writeFileSync(join(root, "log", recordName(6)), new Uint8Array(700));
  rmSync(join(root, "log", recordName(8)));
  await flipBit(join(root, "data", forty.directory, "state.json"), 77);
}

/**
 * A run that begins with another run's checkpoint, which has a new tensor that is not finite; it has trained on from there,
 * and its attempt has renewed its `open`.
 */
async function writeFork(root: string): Promise<void> {
  const elsewhere = mkdtempSync(join(tmpdir(), "golden-source-"));
  try {
    const source = await openDirectoryStore(elsewhere, { runUid: "9d0c66d0-11a1-4a6e-8e0e-5f1a1f1d0b22" });
    await open(source, { attempt: 3, base: null });
    await save(source, { attempt: 3, step: 15, parent: null });
    const store = await openDirectoryStore(root, { runUid: goldenRunUid });
    const from = { run: source.runUid, checkpoint: { step: 15 }, since: 1 };
    const copy = await copyFork(store, { source: from, stores: [source], attempt: 1 });
    if (copy.kind !== "copied") throw new Error(`Cannot write the golden run because ${copy.message}`);
    const base = copy.ref.digest;
    await open(store, { attempt: 1, base, imported: { checkpoint: copy.ref, attempts: [] }, chosen: true });
    await small(store, { attempt: 1, step: 18, parent: base });
    await open(store, { attempt: 1, base });
    await small(store, { attempt: 1, step: 20, parent: base });
  } finally {
    rmSync(elsewhere, { recursive: true });
  }
}

/** A gang of two that has saved two steps together, and of a third one no more than the shard of worker 1. */
async function writeGang(root: string): Promise<void> {
  const store = await openDirectoryStore(root, { runUid: goldenRunUid });
  await open(store, { attempt: 1, base: null });
  for (const step of [10, 15]) {
    const place = { attempt: 1, step };
    for (const worker of [1, 0]) await shard(store, { ...place, worker });
    const published = await publishShards(store, place);
    if (published.kind !== "published")
      throw new Error(`Cannot write the golden run because step ${step} is not whole`);
    await append(store, commitOf(published.manifest));
    await store.remove(shardsName(place));
  }
  await shard(store, { attempt: 1, step: 20, worker: 1 });
}

async function shard(
  store: DirectoryStore,
  { worker, ...place }: { attempt: number; step: number; worker: number },
): Promise<void> {
  const { step } = place;
  const files = worker === 0 ? goldenFiles(step) : [jsonFile("state.json", { step, worker })];
  const gang = { runUid: goldenRunUid, worker, workers: 2, parent: null, epoch: step / 10, time: minute(step) };
  await saveShard(store, { ...place, ...gang, ...saidOf(step), files });
}

/** A checkpoint whose manifest is of format 2, after one of format 1. */
async function writeFutureFormat(root: string): Promise<void> {
  const store = await openDirectoryStore(root, { runUid: goldenRunUid });
  await open(store, { attempt: 1, base: null });
  await small(store, { attempt: 1, step: 10, parent: null });
  const { manifest, directory } = await small(store, { attempt: 1, step: 20, parent: null });
  const sealed = seal({ ...manifest, format: 2, shards: [] });
  writeFileSync(join(root, "data", directory, "MANIFEST.json"), canonicalJson(sealed));
  rmSync(join(root, "log", recordName(3)));
  await put(store, commitOf({ ...manifest, digest: sealed.digest }));
}

/** A log whose newest record is of version 2. */
async function writeFutureRecord(root: string): Promise<void> {
  const store = await openDirectoryStore(root, { runUid: goldenRunUid });
  await open(store, { attempt: 1, base: null });
  await small(store, { attempt: 1, step: 10, parent: null });
  const record = seal({ version: 2, kind: "lease", attempt: 1, ...identity(3), until: minute(9) });
  await store.createRecord(3, new TextEncoder().encode(canonicalJson(record)));
}

type Place = Parameters<typeof save>[1];

/** A checkpoint of one small file. */
function small(store: DirectoryStore, place: Place): Promise<SavedCheckpoint> {
  const epoch = place.step / 10;
  return save(store, { ...place, epoch, files: [jsonFile("state.json", { step: place.step, cursor: { epoch } })] });
}

/** Puts a record under the next number whatever it is worth, as one may stand there that nobody would append now. */
async function put(store: DirectoryStore, draft: RecordDraft): Promise<void> {
  const number = ((await store.recordNumbers()).at(-1) ?? 0) + 1;
  const record = { version: recordVersion, ...identity(number), ...draft } as LogRecord;
  await store.createRecord(number, recordBytes(record));
}

function identity(number: number): { writer: string; time: string } {
  return { writer: writer(number), time: minute(number) };
}

const [, script, name, directory] = process.argv;
if (script === import.meta.filename && directory !== undefined) await goldenRuns[name ?? ""]?.(directory);
