import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { type Expected, nothingExpected as nothingRecorded } from "../src/contract/pod-environment.ts";
import { jsonFile } from "../src/file-source.ts";
import { healthy } from "../src/health.ts";
import { type RestoreOutcome, type RestoreRequest, restoreRun } from "../src/restore.ts";
import { tensorsFile } from "../src/safetensors/write.ts";
import { type SavedCheckpoint, type SaveRequest, saveCheckpoint } from "../src/save.ts";
import { type DirectoryStore, openDirectoryStore } from "../src/store/directory-store.ts";
import type { Store } from "../src/store/store.ts";

export const runUid = "0b6f1c1e-7f3c-4c52-9d2e-3f1f3f0d9a11";

/** What an operator without memory passes. */
export const nothingExpected: Expected = { ...nothingRecorded, environmentMismatch: "Warn" };

/** An empty directory that goes with the test. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "checkpoint-test-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

export async function temporaryStore(): Promise<DirectoryStore> {
  return openDirectoryStore(await temporaryDirectory(), { runUid });
}

/** Restores an attempt; its pod is `pod-<attempt>`, and it waits for nothing to come into sight, unless said otherwise. */
export function restore(store: Store, attempt: number, request: Partial<RestoreRequest> = {}): Promise<RestoreOutcome> {
  const who = { runUid, attempt, podUid: `pod-${attempt}`, node: "node-a", generation: 1 };
  return restoreRun(store, { ...who, expected: nothingExpected, visibleWithinMs: 0, ...request });
}

/** What a save of this step holds: two tensors and a state. */
export function filesOf(step: number): SaveRequest["files"] {
  const weights = new Uint8Array(new Float32Array(256).map((_, index) => step + index / 256).buffer);
  return [
    tensorsFile("model.safetensors", [
      { name: "dense/kernel", dtype: "F32", shape: [16, 16], bytes: weights },
      { name: "dense/step", dtype: "I32", shape: [], bytes: new Uint8Array(new Int32Array([step]).buffer) },
    ]),
    jsonFile("state.json", { step, epoch: 0, rng: [7, step] }),
  ];
}

export function save(store: Store, attempt: number, step: number, request: Partial<SaveRequest> = {}) {
  return saveCheckpoint(store, {
    runUid,
    attempt,
    step,
    parent: null,
    files: filesOf(step),
    metrics: [{ name: "loss", value: String(1 / (1 + step)) }],
    health: healthy,
    producer: { name: "test", version: "1.0.0" },
    ...request,
  });
}

/** A run whose first attempt has opened and saved these steps. */
export async function savedRun(steps: readonly number[]): Promise<{ store: DirectoryStore; saved: SavedCheckpoint[] }> {
  const store = await temporaryStore();
  await restore(store, 1);
  const saved: SavedCheckpoint[] = [];
  for (const step of steps) saved.push(await save(store, 1, step));
  return { store, saved };
}

/** Where a checkpoint's file lies. */
export function pathIn(store: DirectoryStore, directory: string, file = ""): string {
  return join(store.root, "data", directory, file);
}

/** The step a restore resumed from, `0` for a fresh start, or the failure's name. */
export function resumedAt(outcome: RestoreOutcome): number | string {
  return outcome.kind === "failed" ? outcome.failure : (outcome.restored.resume?.step ?? 0);
}
