import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { nothingExpected } from "../../src/contract/pod-environment.ts";
import { bytesFile } from "../../src/file-source.ts";
import { finishRun } from "../../src/finish.ts";
import { healthy } from "../../src/health.ts";
import { compactLog, renewOpen } from "../../src/log/compact.ts";
import { readLog } from "../../src/log/read.ts";
import { pointNames } from "../../src/names.ts";
import { prune } from "../../src/prune.ts";
import { type RestoreOutcome, type RestoreRequest, restoreRun } from "../../src/restore.ts";
import { saveCheckpoint } from "../../src/save.ts";
import { commitShards } from "../../src/shards/commit-shards.ts";
import { saveShard } from "../../src/shards/save-shard.ts";
import { DirectoryStore, openDirectoryStore } from "../../src/store/directory-store.ts";
import { mirrorCheckpoint } from "../../src/tiers/mirror.ts";

export const runUid = "0b6f1c1e-7f3c-4c52-9d2e-3f1f3f0d9a11";

/** A restore did not open its attempt. */
export class RestoreFailedError extends Error {
  override readonly name = "RestoreFailedError";
}

/** Saves one step of two files, small ones unless said otherwise, one of them in a directory of its own. */
export async function saveStep(
  root: string,
  { step, attempt = 1, bytes = 1300, run = runUid }: { step: number; attempt?: number; bytes?: number; run?: string },
): Promise<void> {
  const content = Uint8Array.from({ length: bytes }, (_, index) => (index * 7 + step) % 251);
  const files = [
    bytesFile("model.bin", "opaque", content),
    bytesFile("more/state.bin", "opaque", content.subarray(0, 100)),
  ];
  await saveCheckpoint(new DirectoryStore(root, run), {
    runUid: run,
    attempt,
    step,
    parent: null,
    files,
    metrics: [],
    health: healthy,
    producer: { name: "test", version: "1.0.0" },
  });
}

/** Saves one step of a gang of two, whose shards attempt 1 commits together. */
export async function saveTogether(root: string, step: number): Promise<void> {
  const store = new DirectoryStore(root, runUid);
  for (const worker of [0, 1]) {
    const content = Uint8Array.from({ length: 700 }, (_, index) => (index * 7 + step + worker) % 251);
    await saveShard(store, {
      ...{ runUid, attempt: 1, step, worker, workers: 2, parent: null, metrics: [], health: healthy },
      files: [bytesFile("more/state.bin", "opaque", content)],
      producer: { name: "test", version: "1.0.0" },
    });
  }
  const outcome = await commitShards(store, { step, attempt: 1 });
  if (outcome.kind === "partial")
    throw new Error(`Cannot commit step ${step} because only ${outcome.sealed} are there`);
}

/** Opens an attempt in its pod `pod-<attempt>`, as a restore does. */
export async function restoreAttempt(
  root: string,
  attempt: number,
  request: Partial<RestoreRequest> = {},
): Promise<RestoreOutcome> {
  const who = { runUid, attempt, podUid: `pod-${attempt}`, node: "node-a", generation: 1, ...request };
  return restoreRun(await openDirectoryStore(root, { runUid: who.runUid }), { expected: nothingExpected, ...who });
}

/** Opens an attempt or throws; a retry by the same pod is the same call again. */
export async function openAttempt(root: string, attempt: number, request: Partial<RestoreRequest> = {}): Promise<void> {
  const outcome = await restoreAttempt(root, attempt, request);
  if (outcome.kind === "failed") throw new RestoreFailedError(outcome.message);
}

const sourceUid = "9d0c66d0-11a1-4a6e-8e0e-5f1a1f1d0b22";

/** Where the run lies that is forked: in the same directory, so that its calls are cut off as well. */
export const sourceIn = (root: string) => join(root, "source");

/** Another run whose third attempt has saved these steps. */
export async function saveSource(root: string, steps: readonly number[]): Promise<void> {
  const source = sourceIn(root);
  await mkdir(source, { recursive: true });
  await openAttempt(source, 3, { runUid: sourceUid });
  for (const step of steps) await saveStep(source, { step, attempt: 3, run: sourceUid });
}

/** What a restore is told that is to begin with a step of that run. */
export function forking(root: string, step: number): Partial<RestoreRequest> {
  const source = { run: sourceUid, checkpoint: { step }, since: 1 };
  const openSource = async () => [new DirectoryStore(sourceIn(root), sourceUid)];
  return { expected: { ...nothingExpected, base: { source } }, openSource };
}

/** What a restore is told of a second tier, which lies in the same directory. */
export function mirrored(root: string): Partial<RestoreRequest> {
  return { objectStore: new DirectoryStore(join(root, "mirror"), runUid) };
}

/** Makes the second tier, with nothing in it. */
export async function makeMirror(root: string): Promise<void> {
  await openDirectoryStore(join(root, "mirror"), { runUid });
}

/** Copies every checkpoint of attempt 1 into the second tier. */
export async function mirrorAll(root: string): Promise<void> {
  const { objectStore: to } = mirrored(root);
  const from = new DirectoryStore(root, runUid);
  if (!to) return;
  for (const ref of (await readLog(from)).state.checkpoints) await mirrorCheckpoint({ from, to, attempt: 1 }, ref);
}

/** A retention pass that keeps the two newest. */
export async function pruneOld(root: string): Promise<void> {
  const store = new DirectoryStore(root, runUid);
  const verified = (await readLog(store)).state.checkpoints.map(({ digest }) => digest);
  const policy = { last: 1, best: null, everySteps: null, maxBytes: null };
  await prune(store, { attempt: 1, policy, verified, recorded: [], now: "2026-01-01T00:00:00.000Z" });
}

/** A retention pass of attempt 2 on a volume that has no room for the next save. */
export async function pruneForRoom(root: string): Promise<void> {
  const store = new DirectoryStore(root, runUid);
  const verified = (await readLog(store)).state.checkpoints.map(({ digest }) => digest);
  const known = { attempt: 2, verified, recorded: [], now: "2026-01-01T00:00:00.000Z" };
  const policy = { last: 2, best: null, everySteps: null, maxBytes: null };
  await prune(store, { ...known, policy, lacking: Number.POSITIVE_INFINITY });
}

/** Declares the newest checkpoint final. */
export async function finishNewest(root: string): Promise<void> {
  const store = new DirectoryStore(root, runUid);
  const newest = (await readLog(store)).state.checkpoints.at(-1);
  if (newest === undefined) throw new Error("Cannot finish because the log has no checkpoint");
  await finishRun(store, { attempt: 1, manifest: newest.digest });
}

/** Renews the open of attempt 1 and prunes the log below the one before. */
export async function renewAndCompact(root: string): Promise<void> {
  const store = new DirectoryStore(root, runUid);
  await renewOpen(store, { attempt: 1, podUid: "pod-1", after: 1 });
  await compactLog(store);
}

/** Lets the names for people lead to the newest checkpoint up to that step. */
export async function nameNewest(root: string, { upTo }: { upTo: number }): Promise<void> {
  const store = new DirectoryStore(root, runUid);
  const { state } = await readLog(store);
  const sound = state.checkpoints.filter(({ step }) => step <= upTo);
  const policy = { last: 1, best: null, everySteps: null, maxBytes: null };
  await pointNames(store, { state, verified: new Set(sound.map(({ digest }) => digest)), policy });
}
