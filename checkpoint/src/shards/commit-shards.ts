import { parseShardsName } from "../directory-name.ts";
import { letGo } from "../let-go.ts";
import type { RunState } from "../log/state.ts";
import { manifestBytes } from "../manifest.ts";
import { commitSaved, leftComplete, saveFailure } from "../save.ts";
import type { Store } from "../store/store.ts";
import { gangManifest } from "./gang-manifest.ts";
import { type Place, readShardSet, type ShardSet, shardsOf } from "./shard-set.ts";

/** A checkpoint of a gang stands in the log, or some of its shards are still to come. */
export type ShardsOutcome =
  | Readonly<{ kind: "committed"; bytes: number; workers: number }>
  | Extract<ShardSet, { kind: "partial" }>;

/**
 * Makes one checkpoint of what all workers have saved of a step, and commits it. Only worker 0's agent does that, and a
 * restore on its behalf. Whenever it is cut off, readers find the previous checkpoint or this one, whole (I3), and it may be
 * repeated. Throws `FencedError` when a newer attempt holds the log, `SaveFailedError` for anything else, such as shards
 * that do not belong together.
 */
export async function commitShards(
  store: Store,
  { signal, ...place }: Place & Readonly<{ signal?: AbortSignal }>,
): Promise<ShardsOutcome> {
  const options = signal === undefined ? {} : { signal };
  try {
    // One that has its name already was published by a process that died before its commit, or was told of an error.
    const left = await leftComplete(store, { ...place, ...options });
    const published =
      left === null ? await publishShards(store, place) : { kind: "published" as const, manifest: left };
    if (published.kind === "partial") return published;
    if (published.kind === "wrong") throw saveFailure(place, published.message);
    const { manifest } = published;
    await commitSaved(store, { ...place, ...options, time: manifest.time }, manifest);
    await removeShards(store, place);
    return { kind: "committed", bytes: manifest.totals.bytes, workers: manifest.workers ?? 1 };
  } catch (error) {
    throw saveFailure(place, error);
  }
}

/** Gives a complete set of shards its name as a checkpoint, without a record; what is not complete stays as it is. */
export async function publishShards(store: Store, place: Place) {
  const set = await readShardSet(store, place);
  if (set.kind !== "whole") return set;
  const manifest = gangManifest(set.shards);
  const outcome = await shardsOf(store).publish(place, manifestBytes(manifest));
  if (outcome === "published") return { kind: "published", manifest } as const;
  return { kind: "wrong", message: "the seals of all its shards are there, and their files are not" } as const;
}

/** Steps of which the open attempt has brought something together and committed nothing yet, in their order. */
export async function pendingShards(store: Store, { opened, checkpoints }: RunState): Promise<number[]> {
  if (opened === null || store.shards === undefined) return [];
  const { attempt } = opened;
  const own = checkpoints.filter((ref) => ref.attempt === attempt && ref.digest !== opened.base);
  const newest = Math.max(-1, ...own.map(({ step }) => step));
  const places = (await store.names()).flatMap((name) => parseShardsName(name) ?? []);
  const steps = places.filter((place) => place.attempt === attempt && place.step > newest).map(({ step }) => step);
  return steps.sort((a, b) => a - b);
}

/**
 * What is left of this step's shards, and those of steps before it: every worker has saved this one, so none is at work on
 * an earlier one. What does not go now goes with the next one's, or with the next attempt.
 */
async function removeShards(store: Store, { step, attempt }: Place): Promise<void> {
  for (const name of await store.names()) {
    const place = parseShardsName(name);
    if (place !== null && place.attempt === attempt && place.step <= step) await letGo(store, name);
  }
}
