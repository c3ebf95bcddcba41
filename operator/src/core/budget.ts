import type { Charge } from "../api/cause.ts";
import type { RetrySpec } from "../api/retry-spec.ts";
import type { RetryStatus } from "../api/status.ts";

/** A run's budget before anything has happened. */
export function freshBudget(spec: RetrySpec): RetryStatus {
  return { failures: 0, failuresLeft: spec.failures, disruptions: 0, fruitless: 0 };
}

/** Keeps `failuresLeft` true when the spec is edited. */
export function withSpec(budget: RetryStatus, spec: RetrySpec): RetryStatus {
  return { ...budget, failuresLeft: Math.max(0, spec.failures - budget.failures) };
}

/**
 * Refills the budget when a checkpoint was verified that is newer in the lineage than any before. "Newer" is a
 * higher step, never a later time (I8).
 */
export function refill(budget: RetryStatus, spec: RetrySpec, verifiedStep: number | undefined): RetryStatus {
  if (verifiedStep === undefined || verifiedStep <= (budget.verifiedStep ?? -1)) return budget;
  return { ...budget, failures: 0, failuresLeft: spec.failures, verifiedStep };
}

/** A lineage that begins at an older step counts from there. */
export function rebase(budget: RetryStatus, baseStep: number): RetryStatus {
  return { ...budget, verifiedStep: baseStep, furthestStep: baseStep };
}

/** Keeps the furthest step of the lineage. */
export function reaching(budget: RetryStatus, step: number): RetryStatus {
  return step > furthest(budget) ? { ...budget, furthestStep: step } : budget;
}

/** The budget after an end, whether that brought a step further than any before, and why the run cannot go on. */
export type Charged = Readonly<{
  budget: RetryStatus;
  advanced: boolean;
  spent: "Failures" | "Disruptions" | null;
}>;

/**
 * Charges the end of an attempt that came as far as the step `reached`. A disruption never spends the failure budget
 * (I9). An attempt that was disrupted at its start, or that only did again what was lost, has not advanced.
 */
export function charge(budget: RetryStatus, spec: RetrySpec, end: { charge: Charge; reached: number }): Charged {
  const { nextAttemptTime: _, ...rest } = reaching(budget, end.reached);
  const advanced = end.reached > furthest(budget);
  const counted = { ...rest, fruitless: advanced ? 0 : budget.fruitless + 1 };
  if (end.charge === "Failure") {
    const failures = budget.failures + 1;
    const failuresLeft = Math.max(0, spec.failures - failures);
    const spent = failures > spec.failures ? "Failures" : null;
    return { budget: { ...counted, failures, failuresLeft }, advanced, spent };
  }
  if (end.charge === "Disruption") {
    const disruptions = budget.disruptions + 1;
    const limited = spec.disruptions > 0 && disruptions > spec.disruptions;
    return { budget: { ...counted, disruptions }, advanced, spent: limited ? "Disruptions" : null };
  }
  return { budget: counted, advanced, spent: null };
}

function furthest({ furthestStep = 0 }: RetryStatus): number {
  return furthestStep;
}
