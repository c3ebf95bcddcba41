import type { TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { instantOf } from "./instant.ts";
import type { Instant, ObservedPod } from "./observed.ts";
import { graceSecondsOf } from "./pod-environment.ts";

/** What a deletion may take beyond the grace period before it is let go. */
const deletionSlackSeconds = 60;

/** How long after its deletion a run is still stopped as if that were just now, where nothing of it can be recorded. */
const longestUnkeptMs = 86_400_000;

/** What the condition says while a deleted run saves. */
export const runDeletedReason = "RunDeleted";

/** When `activeDeadlineSeconds` is over; null where there is none or nothing has started. */
export function deadlineOf({ spec }: TrainingRun, { startTime }: TrainingRunStatus): Instant | null {
  if (spec.activeDeadlineSeconds === undefined || startTime === undefined) return null;
  return instantOf(startTime) + spec.activeDeadlineSeconds * 1000;
}

/** How long until `activeDeadlineSeconds` is over, as a draft's wait. */
export function deadlineWait(run: TrainingRun, status: TrainingRunStatus, now: Instant): number[] {
  const deadline = deadlineOf(run, status);
  return deadline === null ? [] : [deadline - now];
}

/**
 * When a deleted run is let go, whatever still stands (L5). An operator that was away asks its pods later than the run
 * was deleted, and each has its whole grace period from then; one that cannot be asked has it from the intent to.
 */
export function releaseDeadline(
  run: TrainingRun,
  { stop }: TrainingRunStatus,
  alive: readonly Pick<ObservedPod, "graceSeconds" | "deletionRequestedAt">[],
): Instant {
  const deletedAt = instantOf(run.metadata.deletionTimestamp ?? run.metadata.creationTimestamp);
  const intendedAt = Math.max(deletedAt, Math.min(intentOf(stop) ?? deletedAt, latestIntent(run, deletedAt)));
  const grace = Math.max(graceSecondsOf(run), ...alive.map(({ graceSeconds }) => graceSeconds));
  const askedAt = alive.map(({ deletionRequestedAt }) => deletionRequestedAt ?? intendedAt);
  return Math.max(deletedAt, ...askedAt) + (grace + deletionSlackSeconds) * 1000;
}

function intentOf(stop: TrainingRunStatus["stop"]): Instant | null {
  return stop === undefined ? null : instantOf(stop.time);
}

/**
 * An intent that cannot be kept is decided anew in each pass, by the time of that pass. It counts from the deletion once an
 * earlier pass is seen to have told of the stop, and where not even that is kept, from a day after it at the latest.
 */
function latestIntent({ status: { stop, conditions = [] } }: TrainingRun, deletedAt: Instant): Instant {
  if (stop !== undefined) return Number.POSITIVE_INFINITY;
  const isTold = conditions.some(({ type, reason }) => type === "Progressing" && reason === runDeletedReason);
  return isTold ? deletedAt : deletedAt + longestUnkeptMs;
}
