import type { TrainingRunSpec } from "../api/spec.ts";
import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";

type Suspect = NonNullable<TrainingRunStatus["suspects"]>[number];

/** Seconds of steps that a trainer killed without a word may have done beyond the last that it reported. */
const unreportedSeconds = 0.4;

/** By how many steps the last one reported may be behind the last one done, at this pace. */
export function slackOf(stepsPerSecond: number): number {
  return Math.floor(stepsPerSecond * unreportedSeconds);
}

/**
 * A checkpoint after which the run crashed twice at the same step, whatever came between, is suspected: its bytes are
 * whole, but what is in them may not be. The next attempt resumes from the one before. One from which an attempt of the
 * same lineage came past that step is not: then it is not the checkpoint that stops the run there. Nor is one before which
 * nothing is on record to resume from, where the run may not start over: it is all that there is, and the budget decides.
 */
export function newSuspect(
  { attempts = [], base, suspects = [], checkpoints = [] }: TrainingRunStatus,
  { noneVerified }: Pick<TrainingRunSpec["resume"], "noneVerified">,
): Suspect | null {
  const [last, ...earlier] = attempts;
  if (last?.charge !== "Failure" || last.resumedFrom === undefined || last.lastStep === undefined) return null;
  const { step, digest } = last.resumedFrom;
  if (suspects.some((suspect) => suspect.digest === digest)) return null;
  const fromThere = earlier.filter(
    ({ number, resumedFrom }) => resumedFrom?.digest === digest && number >= (base?.sinceAttempt ?? 0),
  );
  const { lastStep } = last;
  if (fromThere.some((entry) => isPast(entry, lastStep))) return null;
  const suspected = new Set(suspects.map((suspect) => suspect.digest));
  const hasOlder = checkpoints.some((older) => older.step < step && !suspected.has(older.digest));
  if (!hasOlder && noneVerified === "Fail") return null;
  const crashedThere = fromThere.some((entry) => entry.charge === "Failure" && isAt(entry, last));
  return crashedThere ? { step, digest, stuckAt: lastStep } : null;
}

/**
 * The step at which the run crashes again although it already resumed from an older checkpoint; null where it does not,
 * and where an attempt has come past it since.
 */
export function stuckStep({ attempts = [], suspects = [] }: TrainingRunStatus): number | null {
  const [last, ...earlier] = attempts;
  if (last?.charge !== "Failure" || last.lastStep === undefined) return null;
  const suspect = suspects.find(
    ({ digest, stuckAt }) => last.resumedFrom?.digest !== digest && isAt({ lastStep: stuckAt }, last),
  );
  if (suspect === undefined) return null;
  const crash = earlier.findIndex(({ resumedFrom }) => resumedFrom?.digest === suspect.digest);
  const since = crash === -1 ? earlier : earlier.slice(0, crash);
  return since.some((entry) => isPast(entry, suspect.stuckAt)) ? null : suspect.stuckAt;
}

type Reach = Pick<AttemptEntry, "lastStep" | "lastStepSlack">;

function isAt(one: Reach, other: Reach): boolean {
  if (one.lastStep === undefined || other.lastStep === undefined) return false;
  return Math.abs(one.lastStep - other.lastStep) <= Math.max(one.lastStepSlack ?? 0, other.lastStepSlack ?? 0);
}

function isPast({ lastStep, lastStepSlack }: Reach, step: number): boolean {
  return lastStep !== undefined && lastStep > step + (lastStepSlack ?? 0);
}
