import { directoryName } from "../directory-name.ts";
import { brokenFilesRule } from "../files-rule.ts";
import { InvalidManifestError } from "../manifest.ts";
import { describeSave, type SaveRequest, saveFailure, writeFiles } from "../save.ts";
import type { Store } from "../store/store.ts";
import { parseShardManifest, shardManifestBytes } from "./shard-manifest.ts";
import { shardsOf } from "./shard-set.ts";

/** What one worker of a gang saves of a step. The step's metrics, epoch and time are taken from worker 0's. */
export type ShardRequest = Omit<SaveRequest, "writer"> & Readonly<{ worker: number; workers: number }>;

/** A shard whose every byte is durable, and which no reader sees before the others are there as well. */
export type SavedShard = Readonly<{ bytes: number; seconds: number }>;

/**
 * Writes one worker's part of a checkpoint beside those of the others. When this returns, it is durable; it becomes a
 * checkpoint when worker 0's agent finds all parts, commits them together, and `awaitCommit` returns. Throws
 * `SaveFailedError` where it was abandoned; saving the same step again is safe.
 */
export async function saveShard(store: Store, request: ShardRequest): Promise<SavedShard> {
  const started = performance.now();
  try {
    checkShard(store, request);
    if (!(await isSealed(store, request))) await writeShard(store, request);
  } catch (error) {
    throw saveFailure(request, error);
  }
  const bytes = request.files.reduce((sum, file) => sum + file.bytes, 0);
  return { bytes, seconds: (performance.now() - started) / 1000 };
}

function checkShard(store: Store, request: ShardRequest): void {
  const { worker, workers, files } = request;
  if (request.runUid !== store.runUid) throw saveFailure(request, `the store is of run ${store.runUid}`);
  if (!Number.isInteger(worker) || worker < 0 || worker >= workers) {
    throw saveFailure(request, `the worker's number is below the number of workers, ${workers}: ${worker}`);
  }
  const broken = brokenFilesRule(files, { about: describeSave(request), share: { worker, workers } });
  if (broken !== null) throw saveFailure(request, broken);
}

/**
 * Whether an earlier save of this step by this worker stands: its seal came when all the rest was durable, and a
 * checkpoint of the step holds it.
 */
async function isSealed(store: Store, { step, attempt, worker, workers }: ShardRequest): Promise<boolean> {
  if ((await store.names()).includes(directoryName(step, attempt))) return true;
  const bytes = (await shardsOf(store).seals({ step, attempt })).get(worker);
  if (bytes === undefined) return false;
  try {
    return parseShardManifest(bytes).workers === workers;
  } catch (error) {
    if (error instanceof InvalidManifestError) return false;
    throw error;
  }
}

async function writeShard(store: Store, request: ShardRequest): Promise<void> {
  const { worker, workers, signal } = request;
  const time = request.time ?? new Date().toISOString();
  const writer = await shardsOf(store).begin(request);
  try {
    const files = await writeFiles(writer, request, { workers });
    signal?.throwIfAborted();
    const described = describeSave({ ...request, time }, request.health);
    await writer.publish(shardManifestBytes({ ...described, files, worker, workers }));
  } catch (error) {
    await writer.abandon();
    throw error;
  }
}
