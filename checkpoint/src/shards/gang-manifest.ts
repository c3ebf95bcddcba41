import { workerName } from "../directory-name.ts";
import { algorithmOf } from "../hash.ts";
import { mergeHealth } from "../health.ts";
import { type Manifest, sealManifest } from "../manifest.ts";
import type { ShardManifest } from "./shard-manifest.ts";

/**
 * The manifest of a checkpoint that a gang saved: every worker's files below the directory of its number, and what worker 0
 * says of the step. It follows from the shards to the last bit, so that whoever brings it together gets the same
 * checkpoint. `shards` are those of all workers, in order.
 */
export function gangManifest(shards: readonly [ShardManifest, ...ShardManifest[]]): Manifest {
  const [first] = shards;
  const { runUid, attempt, step, epoch, parent, metrics, producer, time, workers } = first;
  const draft = {
    ...{ runUid, attempt, step, ...(epoch === undefined ? {} : { epoch }), parent, workers },
    files: shards.flatMap(({ worker, files }) =>
      files.map((file) => ({ ...file, path: `${workerName(worker)}/${file.path}` })),
    ),
    health: mergeHealth(shards.map(({ worker, health }) => ({ prefix: `${workerName(worker)}/`, health }))),
    ...{ metrics, producer, time },
  };
  return sealManifest(draft, algorithmOf(first.digest));
}
