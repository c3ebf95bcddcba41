import { randomUUID } from "node:crypto";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { CheckpointRef } from "@trainingrun/checkpoint/log/state.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { type DirectoryStore, openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { mirrorCheckpoint, readMirrored } from "@trainingrun/checkpoint/tiers/mirror.ts";
import { verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import type { Client } from "minio";
import { onTestFinished } from "vitest";
import { nothingExpected, runUid, save } from "../../checkpoint/test/fixture.ts";
import { openRunStore } from "./run-store.ts";
import { type StoreAccess, storeClient } from "./store-access.ts";
import { keysBelow, put, read } from "./test-requests.ts";

/** Steps that the first attempt of the run has saved, and those of them that the object store has. */
export const savedSteps = [5, 10, 20, 30] as const;
export const mirroredSteps: readonly number[] = [5, 10, 20];

/** A run of one attempt, to be copied for each case: its volume, and the names and bytes of its objects. */
export interface RunTemplate {
  readonly volumeRoot: string;
  readonly objects: ReadonlyMap<string, string>;
}

/** One copy of the run: a volume of its own, and objects below a prefix of its own. */
export interface RunCopy {
  readonly volume: DirectoryStore;
  readonly prefix: string;
}

/** Saves and mirrors the run that the copies are made of. The caller removes `directory`. */
export async function makeTemplate(access: StoreAccess, directory: string): Promise<RunTemplate> {
  const volumeRoot = join(directory, "template");
  const volume = await openDirectoryStore(volumeRoot, { runUid });
  const prefix = `template-${randomUUID()}`;
  const objectStore = await openRunStore(access, { runUid, prefix });
  await restoreAttempt(volume, { attempt: 1, objectStore });
  for (const step of savedSteps) await save(volume, 1, step);
  for (const step of mirroredSteps) await mirror({ from: volume, to: objectStore, attempt: 1 }, step);
  const client = storeClient(access);
  const keys = await keysBelow(client, `${prefix}/`);
  const objects = new Map<string, string>();
  for (const key of keys) objects.set(key.slice(prefix.length), await read(client, key, { encoding: "latin1" }));
  return { volumeRoot, objects };
}

/** A copy of the run, as if its pod had just died. */
export async function copyOf(template: RunTemplate, client: Client): Promise<RunCopy> {
  const prefix = `run-${randomUUID()}`;
  const root = await temporaryRoot();
  const puts = Array.from(template.objects, ([key, text]) =>
    put(client, `${prefix}${key}`, Buffer.from(text, "latin1")),
  );
  await Promise.all([cp(template.volumeRoot, root, { recursive: true }), ...puts]);
  return { volume: await openDirectoryStore(root, { runUid }), prefix };
}

/** A volume without anything on it. */
export async function newVolume(): Promise<DirectoryStore> {
  return await openDirectoryStore(await temporaryRoot(), { runUid });
}

async function temporaryRoot(): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), "trainingrun-volume-"));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  return root;
}

/** Restores an attempt from both tiers, as its pod's first container does. */
export function restoreAttempt(
  volume: Store,
  { attempt, objectStore, signal }: { attempt: number; objectStore: Store; signal?: AbortSignal },
) {
  const who = { runUid, attempt, podUid: `pod-${attempt}`, node: "node-a", generation: 1 };
  return restoreRun(volume, { ...who, expected: nothingExpected, objectStore, ...(signal && { signal }) });
}

/** Mirrors one step of the volume. */
export async function mirror(tiers: { from: Store; to: Store; attempt: number }, step: number): Promise<void> {
  await mirrorCheckpoint(tiers, await refOf(tiers.from, step));
}

/** The checkpoint of that step in the store's log. */
export async function refOf(store: Store, step: number): Promise<CheckpointRef> {
  const { state } = await readLog(store);
  const ref = state.checkpoints.find((one) => one.step === step);
  if (ref === undefined) throw new Error(`the log knows no step ${step}`);
  return ref;
}

/** What a reader finds in a store: its log's meaning, and which checkpoints are whole, by every byte of theirs. */
export async function contentsOf(store: Store) {
  const { state } = await readLog(store);
  const stepOf = new Map(state.checkpoints.map(({ digest, step }) => [digest, step]));
  const mirrored = await readMirrored(store);
  const whole: number[] = [];
  const broken: string[] = [];
  for (const ref of state.checkpoints.filter(({ digest }) => mirrored.has(digest))) {
    const verdict = await verifyCheckpoint(store, ref);
    if (verdict.ok) whole.push(ref.step);
    else broken.push(verdict.message);
  }
  return {
    records: state.last,
    opened: state.opened && { attempt: state.opened.attempt, base: stepOf.get(state.opened.base ?? "") ?? null },
    committed: state.checkpoints.map(({ step }) => step),
    refused: state.refused.map(({ digest }) => stepOf.get(digest)),
    deleted: state.deleted.map(({ directory }) => directory),
    done: stepOf.get(state.done?.manifest ?? "") ?? null,
    damaged: state.damaged,
    names: await store.names(),
    whole,
    broken,
  };
}
