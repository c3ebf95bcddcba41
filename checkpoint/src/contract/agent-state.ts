import { z } from "zod";
import { CheckpointSummary, KeptReasons, RefusedSummary } from "./checkpoint-summary.ts";
import { AttemptNumber, Digest, Step } from "./digest.ts";
import { Progress } from "./progress.ts";
import { Restored } from "./restored.ts";

/** The port every agent serves `/v1/state`, `/metrics` and `/healthz` on. */
export const agentPort = 9464;

/** A present problem of the storage: a stable CamelCase word, and a sentence for a person. */
const Problem = z.object({ reason: z.string().max(63), message: z.string().max(512) });

/** How far the object store is behind the volume. */
export const MirrorState = z.object({
  /** Step of the newest verified checkpoint that the object store has whole; null for none. */
  latestStep: Step.nullable(),
  /** Steps from there (from 0 without one) to the newest verified checkpoint. */
  lagSteps: z.int().min(0),
  /** Bytes still to be uploaded before the object store has what it should have. */
  lagBytes: z.int().min(0),
  /** For how long the object store has lacked a verified checkpoint newer than its newest; 0 when it lacks none. */
  lagSeconds: z.number().min(0),
  /** The upload under way; null for none. */
  uploading: z.object({ step: Step, bytes: z.int().min(0), totalBytes: z.int().min(0) }).nullable(),
  /** Of the upload under way, else of the last one; 0 before the first. */
  bytesPerSecond: z.number().min(0),
  /** Why the object store is not being filled as it should be; the reasons are those of `ObjectStoreProblem` and few more. */
  problem: Problem.nullable(),
});
export type MirrorState = z.infer<typeof MirrorState>;

/** How much of a dump an agent tells, in characters. */
export const maxDumpLength = 2048;

/**
 * A trainer that has done no step for `TRAININGRUN_STALL_SECONDS`, or has not come to its end within the patience of its final
 * save more; told once its process had the time to say what it does.
 */
export const StallState = z.object({
  /** The last step that it did. */
  step: Step,
  /** For how long it has done none since. */
  seconds: z.number().min(0),
  /** What was to come: another step, or the end of a training without another; absent from an agent that watches steps alone. */
  expects: z.enum(["Step", "End"]).optional(),
  /** The beginning of what its process said it was doing; null where nobody could be asked. The volume has all of it. */
  dump: z.string().max(maxDumpLength).nullable(),
});
export type StallState = z.infer<typeof StallState>;

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
  /**
   * Catalogue, newest first. `verified` counts only what this or an earlier agent matched byte for byte and what outlives
   * the pod: on an ephemeral volume that is what the object store has.
   */
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
  problems: z.array(Problem).max(8),
  /** Null where the run has no object store, and from an agent that knows of none. */
  mirror: MirrorState.nullable().default(null),
  /** Whether the object store refuses to create a key twice; absent until it was asked, and where the run has none. */
  fences: z.boolean().optional(),
  /** Absent while steps are done, where none is watched for, and from an agent that does not watch. */
  stall: StallState.optional(),
});
export type AgentState = z.infer<typeof AgentState>;
