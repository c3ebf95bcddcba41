import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { type ProgressStatus, statusLimits } from "../api/status.ts";
import { timeOf } from "./instant.ts";
import type { Instant } from "./observed.ts";

type History = ProgressStatus["history"];

/** When the operator heard of progress, and whether it is the first that it hears of the attempt. */
export type Hearing = Readonly<{ at: Instant | null; isFirst: boolean }>;

/** Takes a trainer's progress into the status. */
export function nextProgress(
  previous: ProgressStatus | undefined,
  progress: Progress,
  hearing: Hearing,
): ProgressStatus {
  const { step, targetStep, stepsPerSecond, metrics, time } = progress;
  const left = Math.max(0, targetStep - step);
  return {
    step,
    targetStep,
    ...(targetStep > 0 ? { percentage: Math.min(100, Math.floor((100 * step) / targetStep)) } : {}),
    ...(stepsPerSecond > 0 ? { estimatedRemainingSeconds: secondsFor(left, stepsPerSecond) } : {}),
    metrics,
    lastUpdateTime: time,
    ...advanceTime(previous, progress, hearing),
    history: nextHistory(previous?.history ?? [], progress),
  };
}

/** The time of an earlier attempt at the same step says nothing of this one. */
function advanceTime(
  previous: ProgressStatus | undefined,
  { step }: Progress,
  { at, isFirst }: Hearing,
): Pick<ProgressStatus, "advanceTime"> {
  const known = isFirst || previous?.step !== step ? undefined : previous.advanceTime;
  const time = known ?? (at === null ? undefined : timeOf(at));
  return time === undefined ? {} : { advanceTime: time };
}

/** Longer than any run takes; what stands still for a moment must not give a number that the API server refuses. */
const mostSeconds = 100 * 365 * 86_400;

function secondsFor(steps: number, stepsPerSecond: number): number {
  return Math.min(mostSeconds, Math.ceil(steps / stepsPerSecond));
}

/** A record alone says how far an attempt came, when no poll did. */
export function progressFromRecord(
  previous: ProgressStatus | undefined,
  record: Readonly<{ step: number; time: string }>,
): ProgressStatus {
  const { estimatedRemainingSeconds: _, ...kept } = previous ?? { metrics: [], history: [] };
  const target = previous?.targetStep ?? 0;
  return {
    ...kept,
    step: record.step,
    ...(target > 0 ? { percentage: Math.min(100, Math.floor((100 * record.step) / target)) } : {}),
    lastUpdateTime: record.time,
  };
}

/**
 * Steps that are trained again after a resume replace what stood there. Past the limit every second point goes,
 * so the points stay evenly spread over the whole run.
 */
function nextHistory(history: History, { step, metrics }: Progress): History {
  const loss = metrics.find(({ name }) => name === "loss");
  const kept = history.filter(([at]) => at < step);
  if (loss === undefined) return kept;
  const points: History = [...kept, [step, loss.value]];
  if (points.length <= statusLimits.history) return points;
  return points.filter((_, index) => index % 2 === 0 || index === points.length - 1);
}
