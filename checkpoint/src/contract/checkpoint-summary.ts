import { z } from "zod";
import { AttemptNumber, Digest, Epoch, Metrics, Step, Tier, Time } from "./digest.ts";

/** One checkpoint as status, agent and command line show it. `digest` is its manifest's. */
export const CheckpointSummary = z.object({
  step: Step,
  epoch: Epoch.optional(),
  attempt: AttemptNumber,
  digest: Digest,
  bytes: z.int().min(0),
  time: Time,
  tiers: z.array(Tier).max(2),
  metrics: Metrics,
});
export type CheckpointSummary = z.infer<typeof CheckpointSummary>;

/** Why retention keeps a checkpoint, such as `last`, `best:loss`, `every:10000`, `base`. */
export const KeptReasons = z.array(z.string().max(63)).max(8);

/** Why a verifier refused a checkpoint; the reason is a stable CamelCase word, the message names file and rule. */
export const RefusedSummary = z.object({
  step: Step,
  attempt: AttemptNumber,
  digest: Digest,
  reason: z.string().max(63),
  message: z.string().max(512),
  node: z.string().max(253),
  time: Time,
});
export type RefusedSummary = z.infer<typeof RefusedSummary>;
