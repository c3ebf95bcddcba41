import { InvalidManifestError } from "../manifest.ts";
import type { Store } from "../store/store.ts";
import { parseShardManifest, type ShardManifest } from "./shard-manifest.ts";

/** One step of one attempt. */
export type Place = Readonly<{ step: number; attempt: number }>;

/** What there is of a step: the shards of all workers, those of some, or some that do not belong together. */
export type ShardSet =
  | Readonly<{ kind: "whole"; shards: readonly [ShardManifest, ...ShardManifest[]] }>
  /** `workers` is null while nobody has said how many there are. */
  | Readonly<{ kind: "partial"; sealed: readonly number[]; workers: number | null }>
  | Readonly<{ kind: "wrong"; message: string }>;

/** This tier has no place for the shards of a gang. */
export class ShardsUnsupportedError extends Error {
  override readonly name = "ShardsUnsupportedError";
}

/** The place for shards in a tier. */
export function shardsOf({ shards, tier, runUid }: Store): NonNullable<Store["shards"]> {
  if (shards !== undefined) return shards;
  throw new ShardsUnsupportedError(
    `Cannot bring the shards of run ${runUid} together because the workers of a gang save into one volume: this is ${tier}`,
  );
}

/** Reads what there is of a step. A shard is here only once all of its bytes are durable. */
export async function readShardSet(store: Store, place: Place): Promise<ShardSet> {
  const shards = new Map<number, ShardManifest>();
  for (const [worker, bytes] of await shardsOf(store).seals(place)) {
    const shard = parsed(bytes);
    if (typeof shard === "string") return wrong(worker, shard);
    const stray = strayShard(shard, { ...place, runUid: store.runUid, worker });
    if (stray !== null) return wrong(worker, stray);
    shards.set(worker, shard);
  }
  const [first = null, ...others] = [...shards.values()].sort((a, b) => a.worker - b.worker);
  if (first === null) return { kind: "partial", sealed: [], workers: null };
  const odd = others.find(({ workers, parent }) => workers !== first.workers || parent !== first.parent);
  if (odd !== undefined) return wrong(odd.worker, describeOdd(odd, first));
  if (shards.size === first.workers) return { kind: "whole", shards: [first, ...others] };
  return { kind: "partial", sealed: [...shards.keys()], workers: first.workers };
}

function parsed(bytes: Uint8Array): ShardManifest | string {
  try {
    return parseShardManifest(bytes);
  } catch (error) {
    if (error instanceof InvalidManifestError) return error.message;
    throw error;
  }
}

/** Who else the shard is of, in words; null where it is in its own place. */
function strayShard(shard: ShardManifest, expected: Place & Readonly<{ runUid: string; worker: number }>) {
  for (const member of ["runUid", "attempt", "step", "worker"] as const) {
    if (shard[member] === expected[member]) continue;
    return `its ${member} is ${JSON.stringify(shard[member])}: ${JSON.stringify(expected[member])} expected`;
  }
  return null;
}

function describeOdd(odd: ShardManifest, first: ShardManifest): string {
  if (odd.workers !== first.workers)
    return `it knows ${odd.workers} workers, and worker ${first.worker} ${first.workers}`;
  return `it resumed from ${odd.parent ?? "nothing"}, and worker ${first.worker} from ${first.parent ?? "nothing"}`;
}

function wrong(worker: number, message: string): ShardSet {
  return { kind: "wrong", message: `the shard of worker ${worker} does not belong to the others: ${message}` };
}
