import { z } from "zod";
import { RefusedSummary } from "./checkpoint-summary.ts";
import { AttemptNumber, Digest, Step, Tier } from "./digest.ts";

/**
 * `control/restored`: the verdict of a successful restore, written once its `open` stands in the log.
 * A trainer that waits for the restore starts when this file exists; `resume` is null on a first start.
 */
export const Restored = z.object({
  version: z.literal(1),
  run: z.string().min(1).max(63),
  attempt: AttemptNumber,
  podUid: z.string().min(1).max(63),
  resume: z
    .object({
      step: Step,
      attempt: AttemptNumber,
      digest: Digest,
      tier: Tier,
      /** Absolute path of the checkpoint's directory; `/trainingrun/resume` leads to the same place. */
      directory: z.string(),
    })
    .nullable(),
  /** Candidates that were found damaged on the way, newest first. */
  refused: z.array(RefusedSummary).max(16),
  verifiedBytes: z.int().min(0),
  seconds: z.number().min(0),
  time: z.iso.datetime(),
});
export type Restored = z.infer<typeof Restored>;
