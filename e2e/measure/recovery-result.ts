import type { Lane } from "../recovery/rounds.ts";
import { type LossesSeen, losses, type PlainSeen } from "./recovery-plain.ts";
import { type Goal, median, quantile, type Result, rounded } from "./result.ts";

/** What one step of two equal measurements may differ by on a machine that does other things too. */
const noiseSeconds = 0.5;
/** So many of the first and of the last interruptions are compared: one alone meets whatever the machine does just then. */
const compared = 5;

/** Of a training, in the order of measuring: the run's recoveries with their parts, the Job's starts, the Job's recoveries. */
export type TrainedSeen = Readonly<{
  ours: readonly number[];
  parts: readonly unknown[];
  starts: readonly number[];
  theirs: readonly number[];
}>;

/** What the seconds come to. */
export function recoveryResult({
  way,
  trained,
  plain,
}: Readonly<{ way: string; trained: TrainedSeen; plain: PlainSeen }>): Result {
  const [ofTraining, ofPlain] = [trainedResult(trained), plainResult(plain)];
  return {
    name: "recovery",
    figures: { cluster: way, ...ofTraining.figures, ...ofPlain.figures },
    goals: { ...ofTraining.goals, ...ofPlain.goals },
  };
}

type Part = Pick<Result, "figures" | "goals">;

function trainedResult({ ours, parts, starts, theirs }: TrainedSeen): Part {
  const [middle, p95, start] = [median(ours), quantile(ours, 0.95), median(starts)];
  const [first, tenth] = [ours[0] ?? Number.NaN, ours[9] ?? Number.NaN];
  return {
    figures: {
      evictions: ours.length,
      medianSeconds: rounded(middle),
      p95Seconds: rounded(p95),
      maxSeconds: rounded(Math.max(...ours)),
      firstSeconds: rounded(first),
      tenthSeconds: rounded(tenth),
      jobStartMedianSeconds: rounded(start),
      aboveJobStartSeconds: rounded(middle - start),
      ratioToJobStart: rounded(middle / start),
      seconds: ours.map(rounded),
      jobStartSeconds: starts.map(rounded),
      jobEvictionSeconds: theirs.map(rounded),
      parts,
    },
    goals: {
      evictions: { goal: "at least 10", met: ours.length >= 10 },
      medianSeconds: { goal: "at most 2 s above jobStartMedianSeconds", met: middle <= start + 2 },
      p95Seconds: { goal: "at most 1.5 x median", met: p95 <= 1.5 * middle },
      tenthSeconds: {
        goal: `no slower than the first (within ${noiseSeconds} s of noise)`,
        met: tenth <= first + noiseSeconds,
      },
      jobEvictionSeconds: { goal: "the Job was evicted as well, for comparison", met: theirs.length > 0 },
    },
  };
}

function plainResult({ eviction, crash }: PlainSeen): Part {
  return {
    figures: { plainEviction: figuresOf(eviction), plainCrash: figuresOf(crash) },
    goals: {
      plainEvictionMedianSeconds: beforeJobSet(eviction, losses.eviction),
      plainCrashMedianSeconds: beforeJobSet(crash, losses.crash),
      plainEvictionLastSeconds: asEarlyAtTheEnd(eviction),
    },
  };
}

function beforeJobSet({ prompt }: LossesSeen, times: number): Goal {
  const [ours, theirs] = [of(prompt, "trainingRun"), of(prompt, "jobSet")];
  const met = Math.min(ours.length, theirs.length) >= times && median(ours) <= median(theirs);
  return { goal: `the TrainingRun's no more than the JobSet's, of ${times} each`, met };
}

function asEarlyAtTheEnd({ prompt }: LossesSeen): Goal {
  const ours = of(prompt, "trainingRun");
  const [first, last] = [median(ours.slice(0, compared)), median(ours.slice(-compared))];
  return {
    goal: `the TrainingRun's last ${compared} no slower than its first ${compared} (medians, within ${noiseSeconds} s of noise)`,
    met: last <= first + noiseSeconds,
  };
}

function figuresOf({ prompt, backingOff }: LossesSeen): Readonly<Record<string, unknown>> {
  const jobSetMedian = median(of(prompt, "jobSet"));
  const inTurn = [...prompt].map(([name, seconds]) => [name, promptFigures(seconds, jobSetMedian)]);
  const lanes = [...backingOff].map(([name, lane]) => [name, laneFigures(lane)]);
  return Object.fromEntries([...inTurn, ...lanes]);
}

function promptFigures(seconds: readonly number[], jobSetMedian: number): Readonly<Record<string, unknown>> {
  const middle = median(seconds);
  return {
    medianSeconds: rounded(middle),
    ratioToJobSet: rounded(middle / jobSetMedian),
    firstSeconds: rounded(seconds[0] ?? Number.NaN),
    lastSeconds: rounded(seconds.at(-1) ?? Number.NaN),
    maxSeconds: rounded(Math.max(...seconds)),
    seconds: seconds.map(rounded),
  };
}

function laneFigures({ seconds, notWaitedFor }: Lane): Readonly<Record<string, unknown>> {
  return { seconds: seconds.map(rounded), notWaitedFor };
}

function of(prompt: ReadonlyMap<string, readonly number[]>, name: string): readonly number[] {
  return prompt.get(name) ?? [];
}
