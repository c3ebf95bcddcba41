import type { AttemptEntry, Base, TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { AttemptFacts } from "./facts.ts";

/** `spec.resume.from` as it is kept in status: the same choice gives the same text. */
export function choiceOf(run: TrainingRun): string | undefined {
  const from = run.spec.resume.from;
  if (from === undefined) return undefined;
  return JSON.stringify(Object.fromEntries(Object.entries(from).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** The choice that the next attempt must be asked to open with; undefined once one has. */
export function choiceToTake(run: TrainingRun, base: Base | undefined): string | undefined {
  const choice = choiceOf(run);
  return choice === base?.from ? undefined : choice;
}

/** The base after an attempt has opened: a new lineage begins with the first one and with every choice of the user. */
export function nextBase(base: Base | undefined, entry: AttemptEntry, facts: AttemptFacts): Base | undefined {
  if (!facts.opened || (base !== undefined && (entry.from === undefined || entry.from === base.from))) return base;
  return {
    ...(facts.resumedFrom ? { step: facts.resumedFrom.step, digest: facts.resumedFrom.digest } : {}),
    sinceAttempt: entry.number,
    generation: entry.generation,
    ...(entry.from === undefined ? {} : { from: entry.from }),
  };
}

/** A choice that was taken may be made again once the user has taken it out of the spec. */
export function forgetChoice(base: Base | undefined, run: TrainingRun): Base | undefined {
  if (base?.from === undefined || choiceOf(run) !== undefined) return base;
  const { from: _, ...rest } = base;
  return rest;
}

/**
 * A checkpoint after which two attempts in a row crashed at the same step is suspected: its bytes are whole, but
 * what is in them may not be. The next attempt resumes from the one before.
 */
export function newSuspect(attempts: readonly AttemptEntry[], status: TrainingRunStatus) {
  const [last, before] = attempts;
  if (!last || !before || last.charge !== "Failure" || before.charge !== "Failure") return null;
  if (last.resumedFrom === undefined || last.lastStep === undefined) return null;
  const same = last.resumedFrom.digest === before.resumedFrom?.digest && last.lastStep === before.lastStep;
  const known = status.suspects?.some(({ digest }) => digest === last.resumedFrom?.digest) ?? false;
  return same && !known
    ? { step: last.resumedFrom.step, digest: last.resumedFrom.digest, stuckAt: last.lastStep }
    : null;
}

/** The step at which the run crashes again although it already resumed from an older checkpoint; null otherwise. */
export function stuckStep(last: AttemptEntry, status: TrainingRunStatus): number | null {
  if (last.charge !== "Failure" || last.lastStep === undefined) return null;
  const suspect = status.suspects?.find(({ stuckAt }) => stuckAt === last.lastStep);
  return suspect && last.resumedFrom?.digest !== suspect.digest ? suspect.stuckAt : null;
}
