import { z } from "zod";
import { preferredAlgorithm } from "../hash.ts";
import { limits } from "../limits.ts";
import { Manifest, type ManifestDraft, parseSealed, sealedBytes } from "../manifest.ts";

/**
 * What one worker of a gang has saved of a step: a manifest of its own files, by the names that it gave them. It is sealed
 * like a checkpoint's and becomes a part of that; no reader of checkpoints ever looks at it.
 */
export const ShardManifest = Manifest.extend({
  worker: z.int().min(0),
  workers: z.int().min(1).max(limits.workers),
}).refine(({ worker, workers }) => worker < workers, "a worker's number must be below the number of workers");
export type ShardManifest = z.infer<typeof ShardManifest>;

/** Everything that a shard's manifest says except its own digest, and the totals that follow from the files. */
export type ShardDraft = ManifestDraft & Readonly<{ worker: number; workers: number }>;

/** The bytes of a shard's manifest. */
export function shardManifestBytes(draft: ShardDraft): Uint8Array {
  return sealedBytes(draft, preferredAlgorithm());
}

/** Reads the bytes of a shard's manifest, which are refused like those of a checkpoint's. */
export function parseShardManifest(bytes: Uint8Array): ShardManifest {
  return parseSealed(bytes, ShardManifest);
}
