import { z } from "zod";
import { CheckpointSummary, KeptReasons, RefusedSummary } from "./checkpoint-summary.ts";
import { AttemptNumber, Digest } from "./digest.ts";
import { Progress } from "./progress.ts";
import { Restored } from "./restored.ts";

/** The port every agent serves `/v1/state`, `/metrics` and `/healthz` on. */
export const agentPort = 9464;

/**
 * `GET /v1/state?run=<run uid>&pod=<pod uid>` of an agent. Answers 409 when either uid is not its own:
 * pod addresses are reused. Nothing the operator needs for safety comes only from here.
 */
export const AgentState = z.object({
  version: z.literal(1),
  runUid: z.string(),
  podUid: z.string(),
  attempt: AttemptNumber,
  worker: z.int().min(0),
  node: z.string(),
  phase: z.enum(["Restoring", "Serving", "Fenced", "Failed"]),
  restored: Restored.nullable(),
  progress: Progress.nullable(),
  /** Catalogue, newest first. `verified` counts only what this or an earlier agent matched byte for byte. */
  checkpoints: z
    .array(
      CheckpointSummary.extend({
        verified: z.boolean(),
        kept: KeptReasons,
      }),
    )
    .max(16),
  latestVerified: CheckpointSummary.nullable(),
  best: CheckpointSummary.nullable(),
  refused: z.array(RefusedSummary).max(16),
  /** Digest of the final checkpoint once it is verified and `done` stands in the log. */
  done: Digest.nullable(),
  verificationFailures: z.int().min(0),
  /** Present problems of the storage, in words. */
  problems: z.array(z.object({ reason: z.string().max(63), message: z.string().max(512) })).max(8),
});
export type AgentState = z.infer<typeof AgentState>;
