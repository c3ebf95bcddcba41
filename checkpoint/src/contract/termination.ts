import { z } from "zod";
import { CheckpointSummary, RefusedSummary } from "./checkpoint-summary.ts";
import { AttemptNumber, Digest, Metrics, Step, Tier } from "./digest.ts";
import { ResumeReport } from "./resume.ts";

/** How the save on SIGTERM went. */
export const FinalCheckpoint = z.enum(["Saved", "TimedOut", "NotAttempted", "Failed"]);
export type FinalCheckpoint = z.infer<typeof FinalCheckpoint>;

/** What the trainer leaves in its termination log: at most 1 KiB of JSON on one line. */
export const TrainerRecord = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("done"),
    attempt: AttemptNumber,
    step: Step,
    /** Manifest digest of the final checkpoint. */
    checkpoint: Digest,
    /** Digest over the final weights alone, to compare runs. */
    weights: Digest.optional(),
    metrics: Metrics,
  }),
  z.object({
    kind: z.literal("preempted"),
    attempt: AttemptNumber,
    step: Step,
    finalCheckpoint: FinalCheckpoint,
    /** The checkpoint that holds `step`, when there is one. */
    checkpoint: Digest.nullable(),
    graceUsedSeconds: z.number().min(0),
  }),
  z.object({
    kind: z.literal("incompatible"),
    attempt: AttemptNumber,
    checkpoint: Digest,
    message: z.string().max(700),
  }),
]);
export type TrainerRecord = z.infer<typeof TrainerRecord>;

/** Why a restore could not hand over a starting point. */
export const RestoreFailure = z.enum([
  /** Checkpoints existed and none verifies, or what the operator recorded is gone (I10). */
  "NoVerifiedCheckpoint",
  /** A tier cannot be read, or written, at all. */
  "StorageUnavailable",
  /** Two candidates failed on this node: suspect the node. */
  "NodeSuspect",
  /** The attempt's number was opened by another pod, or a higher attempt is open. */
  "Fenced",
  /** The checkpoint's environment differs and the policy is Block. */
  "Incompatible",
  /** Records of the log cannot be read while others can, and without them nothing can be resumed; the message names them. */
  "LogUnreadable",
  /** An error that nothing foresaw; the message is its own, and the trace is in the agent's log. */
  "AgentDefect",
]);
export type RestoreFailure = z.infer<typeof RestoreFailure>;

/** What the agent leaves in its termination log: at most 4 KiB of JSON on one line. */
export const AgentRecord = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("restore-failed"),
    attempt: AttemptNumber,
    failure: RestoreFailure,
    /** Why a tier is unavailable, such as an `ObjectStoreProblem`, where that is known. */
    problem: z.string().max(63).optional(),
    /** The higher attempt that has opened the log, where that fenced this one: no number up to it is of any use. */
    fencedBy: AttemptNumber.optional(),
    message: z.string().max(1024),
    refused: z.array(RefusedSummary).max(4),
  }),
  z.object({
    kind: z.literal("served"),
    attempt: AttemptNumber,
    /** What the attempt resumed from; null when it started fresh; absent when it ended before the restore did. */
    resumedFrom: z.object({ step: Step, digest: Digest, tier: Tier }).nullable().optional(),
    lastStep: Step.optional(),
    firstStepTime: z.iso.datetime().optional(),
    /** How the trainer took its checkpoint up; absent where it resumed from none, or had not begun. */
    resume: ResumeReport.optional(),
    restoreSeconds: z.number().min(0).optional(),
    latestVerified: CheckpointSummary.nullable(),
    best: CheckpointSummary.nullable(),
    /** Digest of the verified final checkpoint of a finished run, once its `done` record stands in the log. */
    done: Digest.nullable(),
    refused: z.array(RefusedSummary).max(4),
    verificationFailures: z.int().min(0),
  }),
]);
export type AgentRecord = z.infer<typeof AgentRecord>;

/** What `agent delete` leaves in its termination log. */
export const RemovalRecord = z.discriminatedUnion("kind", [
  /** None of the run's objects is left; also where there was none. */
  z.object({ kind: z.literal("deleted"), seconds: z.number().min(0) }),
  /** Some may be left. `reason` is an `ObjectStoreProblem`, `Stopped` where the pod was told to end. */
  z.object({ kind: z.literal("delete-failed"), reason: z.string().max(63), message: z.string().max(1024) }),
]);
export type RemovalRecord = z.infer<typeof RemovalRecord>;
