import { z } from "zod";
import { AttemptNumber, Digest, Epoch, Metrics, Step, Time } from "../contract/digest.ts";

/** One committed checkpoint as the log knows it. */
export const CheckpointRef = z.object({
  digest: Digest,
  step: Step,
  epoch: Epoch.optional(),
  attempt: AttemptNumber,
  /** Name of its directory under `data/`. */
  directory: z.string(),
  bytes: z.int().min(0),
  metrics: Metrics,
  /** Whether it holds NaN or infinity where its parent did not. */
  unhealthy: z.boolean(),
  /** The user has named it to be resumed from, so what `resume.unhealthy` says is no question any more; else absent. */
  chosen: z.literal(true).optional(),
  /** An attempt was opened on it though it is unhealthy, and nobody had named it: `resume.unhealthy: Accept` alone let it pass. */
  accepted: z.literal(true).optional(),
  time: Time,
});
export type CheckpointRef = z.infer<typeof CheckpointRef>;

/** Why a checkpoint that still has its bytes is no candidate any more. */
export const Refusal = z.object({
  digest: Digest,
  /** The attempt whose restore or agent refused it. */
  attempt: AttemptNumber,
  reason: z.string().max(63),
  message: z.string().max(512),
  node: z.string().max(253),
  time: Time,
});
export type Refusal = z.infer<typeof Refusal>;

/** Where an attempt began: the lineage is followed along these links, deleted checkpoints included. */
export const AttemptLink = z.object({
  attempt: AttemptNumber,
  base: z.object({ digest: Digest, attempt: AttemptNumber, step: Step }).nullable(),
});
export type AttemptLink = z.infer<typeof AttemptLink>;

/** What an `open` carries of everything below it, so that a reader may start there and a prefix may be pruned. */
export const CarriedState = z.object({
  attempts: z.array(AttemptLink),
  checkpoints: z.array(CheckpointRef),
  refused: z.array(Refusal),
});
export type CarriedState = z.infer<typeof CarriedState>;

/**
 * What an `open` takes over from another tier's log: the base it resumes from, whose bytes may lie there alone, and the
 * links that lead from it down to the run's beginning.
 */
export type Imported = Readonly<{ checkpoint: CheckpointRef; attempts: readonly AttemptLink[] }>;

/** The attempt that holds the log. */
export type Opened = Readonly<{
  attempt: number;
  podUid: string;
  node: string;
  /** The checkpoint it resumed from; null when it began at step 0. */
  base: Digest | null;
  generation: number;
  /** Number of its `open` record. */
  number: number;
  time: string;
}>;

/** The highest attempt known to have opened the log, and the number of its `open`, whole or damaged. */
export type Fence = Readonly<{ attempt: number; number: number }>;

/** A run in one tier: the fold of its log. */
export type RunState = Readonly<{
  /** Number of the last record, 0 for an empty log. */
  last: number;
  opened: Opened | null;
  /** Above {@link opened} where the `open` of a higher attempt is damaged: nothing that attempt, or a lower one, says counts. */
  fence: Fence | null;
  attempts: readonly AttemptLink[];
  /** Committed and not deleted, refused ones included, in the order of their commits. */
  checkpoints: readonly CheckpointRef[];
  /** Refusals of {@link checkpoints}, in order. */
  refused: readonly Refusal[];
  /** Tombstones under the opened attempt: their bytes may be gone or going. */
  deleted: readonly Readonly<{ digest: Digest; directory: string }>[];
  done: Readonly<{ attempt: number; manifest: Digest }> | null;
  /** Numbers whose record is missing or does not parse; they count for nothing. */
  damaged: readonly number[];
}>;

/** The state of a log without records. */
export const emptyState: RunState = {
  last: 0,
  opened: null,
  fence: null,
  attempts: [],
  checkpoints: [],
  refused: [],
  deleted: [],
  done: null,
  damaged: [],
};
