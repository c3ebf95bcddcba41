import type { TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { instantOf } from "./instant.ts";
import type { Instant } from "./observed.ts";
import { graceSecondsOf } from "./pod-environment.ts";

/** What a deletion may take beyond the grace period before it is let go. */
const deletionSlackSeconds = 60;

/** When `activeDeadlineSeconds` is over; null where there is none or nothing has started. */
export function deadlineOf({ spec }: TrainingRun, { startTime }: TrainingRunStatus): Instant | null {
  if (spec.activeDeadlineSeconds === undefined || startTime === undefined) return null;
  return instantOf(startTime) + spec.activeDeadlineSeconds * 1000;
}

/** When a deleted run is let go, whatever still stands (L5). */
export function releaseDeadline(run: TrainingRun, graceSeconds: readonly number[]): Instant {
  const grace = Math.max(graceSecondsOf(run), ...graceSeconds);
  return (
    instantOf(run.metadata.deletionTimestamp ?? run.metadata.creationTimestamp) + (grace + deletionSlackSeconds) * 1000
  );
}
