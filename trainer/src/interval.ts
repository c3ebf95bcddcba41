import type { Interval } from "@trainingrun/checkpoint/contract/pod-environment.ts";

/** What an interval is chosen from; all of it measured by the run itself. */
export type IntervalInput = {
  /** Mean time between the run's interruptions so far, over all attempts. */
  readonly meanSecondsBetweenInterruptions: number;
  /** What a save holds the training up for; null before the first one. */
  readonly stallSeconds: number | null;
  /** What a save takes from begin to commit; null before the first one. */
  readonly saveSeconds: number | null;
};

/** Taken before a save was measured. */
const assumedStallSeconds = 0.05;

/**
 * Seconds between two saves in `auto` mode, by Young's first-order optimum: sqrt(2 x mean time between interruptions
 * x what a save costs) (J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17, 1974),
 * never longer than `maxSeconds` and never shorter than a save takes.
 */
export function chooseIntervalSeconds(maxSeconds: number, input: IntervalInput): number {
  const cost = Math.max(0.001, input.stallSeconds ?? assumedStallSeconds);
  const optimum = Math.sqrt(2 * input.meanSecondsBetweenInterruptions * cost);
  return Math.min(maxSeconds, Math.max(optimum, input.saveSeconds ?? 0));
}

/** Whether a save is due after `step`. `secondsSinceSave` counts from the last save's begin, or the start. */
export function saveIsDue(
  interval: Interval,
  now: { step: number; secondsSinceSave: number } & IntervalInput,
): boolean {
  if ("steps" in interval) return now.step % interval.steps === 0;
  if ("seconds" in interval) return now.secondsSinceSave >= interval.seconds;
  return now.secondsSinceSave >= chooseIntervalSeconds(interval.auto.maxSeconds, now);
}
