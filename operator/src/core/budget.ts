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

/** The budget after an end, and whether that brought a step further than any before. */
export type Charged = Readonly<{ budget: RetryStatus; advanced: boolean }>;

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
    return { budget: { ...counted, failures, failuresLeft }, advanced };
  }
  if (end.charge === "Disruption") {
    return { budget: { ...counted, disruptions: budget.disruptions + 1 }, advanced };
  }
  return { budget: counted, advanced };
}

/** Which budget an end of this charge has gone beyond, once it is charged; null where none is spent. */
export function spentBy(charge: Charge, budget: RetryStatus, spec: RetrySpec): "Failures" | "Disruptions" | null {
  if (charge === "Failure") return budget.failures > spec.failures ? "Failures" : null;
  if (charge === "Disruption") {
    return spec.disruptions > 0 && budget.disruptions > spec.disruptions ? "Disruptions" : null;
  }
  return null;
}

/**
 * Gives a failure back that turns out to be none of the program's, after which `later` more were charged. Where no more
 * than those are on record, a refill has given it back already.
 */
export function giveBack(budget: RetryStatus, spec: RetrySpec, later: number): RetryStatus {
  const failures = budget.failures > later ? budget.failures - 1 : budget.failures;
  return withSpec({ ...budget, failures }, spec);
}

function furthest({ furthestStep = 0 }: RetryStatus): number {
  return furthestStep;
}
