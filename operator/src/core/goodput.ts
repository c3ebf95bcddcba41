import type { AttemptEntry, Totals, TrainingRunStatus } from "../api/status.ts";
import { instantOf } from "./instant.ts";
import type { Instant } from "./observed.ts";

/** What an attempt that lives adds to the totals, in which only ended ones are counted. */
export type Span = Readonly<{ steps: number; wallMs: number; trainingMs: number }>;

/**
 * The totals with their goodput: the share of the time that was spent training, less the share of the steps that were
 * lost. Before the first step there is none: a run that starts has not wasted anything yet.
 */
export function withGoodput({ goodput: _, ...totals }: Totals, living: Span | null): Totals {
  const steps = totals.steps + (living?.steps ?? 0);
  const wallMs = totals.wallSeconds * 1000 + (living?.wallMs ?? 0);
  if (steps === 0 || wallMs <= 0) return totals;
  const trained = Math.min(1, (totals.trainingSeconds * 1000 + (living?.trainingMs ?? 0)) / wallMs);
  const kept = 1 - Math.min(1, totals.lostSteps / steps);
  return { ...totals, goodput: (trained * kept).toFixed(3) };
}

/**
 * The open attempt up to its last step; null before its first. By when the operator heard of that step, never by how late
 * it is: a status that changed with the time alone would be written for ever.
 */
export function livingSpan({ attempts, progress }: TrainingRunStatus): Span | null {
  const entry = attempts?.[0];
  if (entry === undefined || entry.endTime !== undefined || entry.firstStepTime === undefined) return null;
  if (progress?.advanceTime === undefined || progress.step !== entry.lastStep) return null;
  const wallMs = Math.max(0, instantOf(progress.advanceTime) - beganAt(entry));
  return { steps: stepsOf(entry), wallMs, trainingMs: trainingMs(entry, instantOf(progress.lastUpdateTime), wallMs) };
}

/** When the time of an attempt began: with the end of the one before it, unless the run was suspended in between. */
export function beganAt({ startTime, recoverySeconds }: AttemptEntry): Instant {
  return instantOf(startTime) - Number(recoverySeconds?.detect ?? 0) * 1000;
}

/** Steps that an attempt is known to have done. */
export function stepsOf({ lastStep, resumedFrom }: AttemptEntry): number {
  return lastStep === undefined ? 0 : Math.max(0, lastStep - (resumedFrom?.step ?? 0));
}

/** From the first step to the last, by the one clock that both were told by, and never more than there was. */
export function trainingMs({ firstStepTime }: AttemptEntry, until: Instant, wallMs: number): number {
  return firstStepTime === undefined ? 0 : Math.min(wallMs, Math.max(0, until - instantOf(firstStepTime)));
}
