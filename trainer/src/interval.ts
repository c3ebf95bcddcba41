import { finalSaveSeconds } from "@trainingrun/checkpoint/contract/final-save-time.ts";
import type { Interval } from "@trainingrun/checkpoint/contract/pod-environment.ts";

/** What an interval is chosen from; all of it measured by the run itself, but for the grace period. */
export type IntervalInput = {
  /** Mean time between the run's interruptions so far, over all attempts. */
  readonly meanSecondsBetweenInterruptions: number;
  /** What a save holds the training up for; null before the first one. */
  readonly stallSeconds: number | null;
  /** What a save takes from begin to commit, beside training; null before the first one. */
  readonly saveSeconds: number | null;
  /** What the pod's last save would take, its upload included where that has to be; null before the first one. */
  readonly lastSaveSeconds: number | null;
  readonly graceSeconds: number;
};

/** How far two saves are apart, and what that follows from. */
export type ChosenInterval = { readonly seconds: number; readonly why: string };

/** Taken before a save was measured. */
const assumedStallSeconds = 0.05;

/**
 * Seconds between two saves in `auto` mode, by Young's first-order optimum: sqrt(2 x mean time between interruptions
 * x what a save costs) (J. W. Young, "A first order approximation to the optimum checkpoint interval", CACM 17, 1974),
 * never longer than `maxSeconds` and never shorter than a save takes.
 */
export function chooseIntervalSeconds(
  maxSeconds: number,
  input: Pick<IntervalInput, "meanSecondsBetweenInterruptions" | "stallSeconds" | "saveSeconds">,
): number {
  const optimum = Math.sqrt(2 * input.meanSecondsBetweenInterruptions * costOf(input));
  return Math.min(maxSeconds, Math.max(optimum, input.saveSeconds ?? 0));
}

/**
 * The longest time between two saves where the grace period has no room for the last one: an interruption then takes
 * everything since the last commit, so that is to be no more than a grace period's worth, as far as half of the time is
 * left without a save. Null where the last save fits, or nothing was measured yet.
 */
export function shortenedSeconds({
  lastSaveSeconds,
  saveSeconds,
  graceSeconds,
}: Pick<IntervalInput, "lastSaveSeconds" | "saveSeconds" | "graceSeconds">): number | null {
  if (lastSaveSeconds === null || saveSeconds === null || lastSaveSeconds <= graceSeconds) return null;
  return Math.max(graceSeconds, 2 * saveSeconds);
}

/** Whether a save is due after `step`. `secondsSinceSave` counts from the last save's begin, or the start. */
export function saveIsDue(
  interval: Interval,
  now: { step: number; secondsSinceSave: number } & IntervalInput,
): boolean {
  if (now.secondsSinceSave >= (shortenedSeconds(now) ?? Number.POSITIVE_INFINITY)) return true;
  if ("steps" in interval) return now.step % interval.steps === 0;
  if ("seconds" in interval) return now.secondsSinceSave >= interval.seconds;
  return now.secondsSinceSave >= chooseIntervalSeconds(interval.auto.maxSeconds, now);
}

/** The interval in seconds, in words for a person; null while nothing is known of how long a step takes. */
export function describeInterval(
  interval: Interval,
  { stepsPerSecond, ...input }: { stepsPerSecond: number } & IntervalInput,
): ChosenInterval | null {
  const wished = wishedInterval(interval, stepsPerSecond, input);
  const shortened = shortenedSeconds(input);
  if (shortened === null || (wished !== null && wished.seconds <= shortened)) return wished;
  const instead = wished === null ? "" : ` instead of every ${rounded(wished.seconds)} s`;
  const why = `Shortened${instead}: the last save takes about ${rounded(input.lastSaveSeconds ?? 0)} s and the grace period is ${rounded(input.graceSeconds)} s, so an interruption takes what came after the last commit.`;
  return { seconds: shortened, why };
}

function wishedInterval(interval: Interval, stepsPerSecond: number, input: IntervalInput): ChosenInterval | null {
  if ("seconds" in interval) return { seconds: interval.seconds, why: "As checkpoint.interval says." };
  if ("steps" in interval) {
    if (stepsPerSecond <= 0) return null;
    const why = `Every ${interval.steps} steps, as checkpoint.interval says, at ${rounded(stepsPerSecond)} steps a second.`;
    return { seconds: interval.steps / stepsPerSecond, why };
  }
  const { maxSeconds } = interval.auto;
  const seconds = chooseIntervalSeconds(maxSeconds, input);
  const presumed = input.stallSeconds === null ? "presumably " : "";
  const bound = seconds === maxSeconds ? ", but no longer than maxDuration" : "";
  const why = `Chosen for an interruption every ${rounded(input.meanSecondsBetweenInterruptions)} s and saves that ${presumed}hold training up for ${rounded(costOf(input))} s each${bound}.`;
  return { seconds, why };
}

function costOf({ stallSeconds }: Pick<IntervalInput, "stallSeconds">): number {
  return Math.max(0.001, stallSeconds ?? assumedStallSeconds);
}

/** Two digits: what is measured differs a little each time. */
function rounded(value: number): string {
  return String(Number(value.toPrecision(2)));
}

/** What the last save takes that nothing holds up, as the plan for it reckons; null before one was measured. */
export function lastSaveSecondsOf({
  bytes,
  bytesPerSecond,
  uploadBytesPerSecond,
}: {
  bytes: number;
  bytesPerSecond: number | null;
  /** Of what must be uploaded as well; null where nothing must be, or its speed is not known. */
  uploadBytesPerSecond: number | null;
}): number | null {
  if (bytesPerSecond === null) return null;
  const { overhead, reserve, agent } = finalSaveSeconds;
  const upload = uploadBytesPerSecond === null ? 0 : agent + bytes / uploadBytesPerSecond;
  return overhead + bytes / bytesPerSecond + reserve + upload;
}
