import { nothingExpected } from "../../src/contract/pod-environment.ts";
import { bytesFile } from "../../src/file-source.ts";
import { finishRun } from "../../src/finish.ts";
import { healthy } from "../../src/health.ts";
import { compactLog, renewOpen } from "../../src/log/compact.ts";
import { readLog } from "../../src/log/read.ts";
import { pointNames } from "../../src/names.ts";
import { prune } from "../../src/prune.ts";
import { type RestoreOutcome, restoreRun } from "../../src/restore.ts";
import { saveCheckpoint } from "../../src/save.ts";
import { commitShards } from "../../src/shards/commit-shards.ts";
import { saveShard } from "../../src/shards/save-shard.ts";
import { DirectoryStore, openDirectoryStore } from "../../src/store/directory-store.ts";

export const runUid = "0b6f1c1e-7f3c-4c52-9d2e-3f1f3f0d9a11";

/** A restore did not open its attempt. */
export class RestoreFailedError extends Error {
  override readonly name = "RestoreFailedError";
}

/** Saves one step of two files, small ones unless said otherwise, one of them in a directory of its own. */
export async function saveStep(
  root: string,
  { step, attempt = 1, bytes = 1300 }: { step: number; attempt?: number; bytes?: number },
): Promise<void> {
  const content = Uint8Array.from({ length: bytes }, (_, index) => (index * 7 + step) % 251);
  const files = [
    bytesFile("model.bin", "opaque", content),
    bytesFile("more/state.bin", "opaque", content.subarray(0, 100)),
  ];
  await saveCheckpoint(new DirectoryStore(root, runUid), {
    runUid,
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
export async function restoreAttempt(root: string, attempt: number): Promise<RestoreOutcome> {
  const who = { runUid, attempt, podUid: `pod-${attempt}`, node: "node-a", generation: 1 };
  return restoreRun(await openDirectoryStore(root, { runUid }), { ...who, expected: nothingExpected });
}

/** Opens an attempt or throws; a retry by the same pod is the same call again. */
export async function openAttempt(root: string, attempt: number): Promise<void> {
  const outcome = await restoreAttempt(root, attempt);
  if (outcome.kind === "failed") throw new RestoreFailedError(outcome.message);
}

/** A retention pass that keeps the two newest. */
export async function pruneOld(root: string): Promise<void> {
  const store = new DirectoryStore(root, runUid);
  const verified = (await readLog(store)).state.checkpoints.map(({ digest }) => digest);
  const policy = { last: 1, best: null, everySteps: null, maxBytes: null };
  await prune(store, { attempt: 1, policy, verified, recorded: [], now: "2026-01-01T00:00:00.000Z" });
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
