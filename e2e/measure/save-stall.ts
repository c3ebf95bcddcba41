import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { z } from "zod";
import { type Measurement, median, quantile, type Result, rounded } from "./result.ts";

/**
 * Two hidden layers of this width: with Adam a checkpoint holds twelve bytes for each weight between them. Each is trained
 * for so many seconds once it has settled. A step of the small one takes a few milliseconds and a machine's noise is as
 * large as what is looked for, so what counts is how many rounds there are to take the median of.
 */
const sizes = [
  { name: "small", width: 300, seconds: 120, rounds: 9 },
  { name: "medium", width: 1200, seconds: 120, rounds: 9 },
  { name: "large", width: 3300, seconds: 120, rounds: 9 },
] as const;

const limits = { overhead: 0.01, precision: 0.01, p99: 1.5, leastShare: 0.05, mostShare: 0.12 };

/**
 * Trains three sizes of a model with TensorFlow.js, on the fastest backend that is installed: one interval with a save at
 * its beginning, one without, in turns. The interval is ten times as long as a save, which is measured first.
 */
export const saveStall: Measurement = {
  name: "save-stall",
  what: "step time with a save every so often against none, three model sizes, in turns",
  seconds: 1_400,
  limitMs: 60 * 60_000,
  run: async (signal) => {
    const trainings: [string, StallTraining][] = [];
    for (const { name, ...size } of sizes) {
      const training = await train(size, signal);
      trainings.push([name, training]);
      console.log(`  ${name}: ${JSON.stringify(figuresOf(training))}`);
    }
    return saveStallResult(trainings);
  },
};

const Milliseconds = z.array(z.number().min(0)).min(1);
const StallTraining = z.object({
  backend: z.string(),
  stateBytes: z.number(),
  intervalSteps: z.number(),
  /** What each step took, from the end of the one before: a save begins before the first of `saving`. */
  rounds: z.array(z.object({ saving: Milliseconds, plain: Milliseconds })).min(1),
  /** From begin to commit. */
  saveSeconds: z.array(z.number()),
  /** Saves that reached into the steps that were to have none. */
  overran: z.number(),
  stallSeconds: z.object({ p50: z.number(), p99: z.number() }),
  bytesPerSecond: z.number(),
  saves: z.object({ committed: z.number(), failed: z.number(), skipped: z.number() }),
  peakRssBytes: z.number(),
});
/** What one training came to. */
export type StallTraining = z.infer<typeof StallTraining>;
type Round = StallTraining["rounds"][number];

type Size = Readonly<{ width: number; seconds: number; rounds: number }>;

async function train({ width, seconds, rounds }: Size, signal: AbortSignal) {
  const program = join(import.meta.dirname, "save-stall-training.ts");
  const settings = { signal, maxBuffer: 2 ** 28 };
  // Made and removed here: the program may be ended before it can.
  const directory = await mkdtemp(join(tmpdir(), "trainingrun-save-stall-"));
  try {
    const given = [program, directory, `${width}`, `${seconds}`, `${rounds}`];
    const { stdout } = await promisify(execFile)(process.execPath, given, settings);
    const line = stdout.trim().split("\n").at(-1) ?? "";
    return StallTraining.parse(JSON.parse(line));
  } finally {
    await rm(directory, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** What one size came to: ratios are of steps with saves to steps without. */
export function figuresOf(training: StallTraining) {
  const { rounds, saveSeconds, stallSeconds, stateBytes, intervalSteps, backend } = training;
  const saving = rounds.flatMap((round) => round.saving);
  const plain = rounds.flatMap((round) => round.plain);
  const overheads = rounds.map((round, index) => overheadOf(round, rounds[index - 1], intervalSteps));
  const [from, to] = medianInterval(overheads);
  const whole = rounds.map((round) => mean(round.saving) / mean(round.plain) - 1);
  const intervalSeconds = (mean(saving) * intervalSteps) / 1000;
  return {
    backend,
    stateMiB: rounded(stateBytes / 2 ** 20),
    stepMs: rounded(median(plain)),
    intervalSteps,
    intervalShareOfSave: rounded(median(saveSeconds) / intervalSeconds),
    rounds: rounds.length,
    overhead: rounded4(median(overheads)),
    // Between these the median lies, with a probability of 95 %, where the machine goes on like this.
    overheadFrom: rounded4(from),
    overheadTo: rounded4(to),
    overheadOfRounds: { least: rounded4(Math.min(...overheads)), most: rounded4(Math.max(...overheads)) },
    // Whole intervals beside whole intervals: what a save costs, and what else changed on the machine meanwhile.
    overheadOfWhole: { median: rounded4(median(whole)), between: medianInterval(whole).map(rounded4) },
    p99Ratio: rounded(quantile(saving, 0.99) / quantile(plain, 0.99)),
    p99ToMedian: {
      saving: rounded(quantile(saving, 0.99) / median(plain)),
      plain: rounded(quantile(plain, 0.99) / median(plain)),
    },
    // What training stood still for, without what the thread beside it takes of cores and memory.
    intervalShareOfStall: rounded4(stallSeconds.p50 / intervalSeconds),
    stallMsPerSave: { p50: rounded(stallSeconds.p50 * 1000), p99: rounded(stallSeconds.p99 * 1000) },
    saveSeconds: rounded(median(saveSeconds)),
    writerMiBPerSecond: Math.round(training.bytesPerSecond / 2 ** 20),
    overran: training.overran,
    failed: training.saves.failed,
    peakRssMiB: Math.round(training.peakRssBytes / 2 ** 20),
  };
}

/** A save is over in the first quarter of its interval: it takes a tenth, and one that takes longer than 12 % breaks a goal. */
const partWithSave = 0.25;

/**
 * What an interval takes longer for the save at its beginning, as a share of the interval without it. The steps that the
 * save can touch are set beside as many before and after them, seconds away: a whole interval further on, a busy machine
 * has another speed, and differs from itself by more than is looked for.
 */
function overheadOf(round: Round, before: Round | undefined, intervalSteps: number): number {
  const width = Math.ceil(intervalSteps * partWithSave);
  const touched = round.saving.slice(0, width);
  const beside = mean([...round.saving.slice(width, 2 * width), ...(before?.plain.slice(-width) ?? [])]);
  return (touched.length * (mean(touched) - beside)) / (intervalSteps * beside);
}

/** The verdict over all sizes. */
export function saveStallResult(trainings: readonly (readonly [string, StallTraining])[]): Result {
  const figures = trainings.map(([name, training]) => [name, figuresOf(training)] as const);
  const all = (holds: (figure: ReturnType<typeof figuresOf>) => boolean) =>
    figures.length > 0 && figures.every(([, figure]) => holds(figure));
  return {
    name: "save-stall",
    figures: Object.fromEntries(figures),
    goals: {
      overhead: {
        goal: "at most 1 % for each size, the median of the rounds",
        met: all(({ overhead }) => overhead <= limits.overhead),
      },
      precision: {
        goal: "with a probability of 95 % the median is known to within a hundredth",
        met: all(({ overheadFrom, overheadTo }) => (overheadTo - overheadFrom) / 2 <= limits.precision),
      },
      p99Ratio: { goal: "at most 1.5 for each size", met: all(({ p99Ratio }) => p99Ratio <= limits.p99) },
      intervalShareOfSave: {
        goal: "a save takes about a tenth of the interval, 5 to 12 %, and none overruns it",
        met: all(({ intervalShareOfSave: share, overran }) => {
          return share >= limits.leastShare && share <= limits.mostShare && overran === 0;
        }),
      },
      failed: { goal: "no save fails", met: all(({ failed }) => failed === 0) },
    },
  };
}

/**
 * An interval that holds the median of what the values were drawn from, with a probability of 95 %: from one of them to
 * another, whatever their distribution (the sign test). NaN for fewer than six values, which say too little.
 */
export function medianInterval(values: readonly number[]): [from: number, to: number] {
  const count = values.length;
  const sorted = values.toSorted((a, b) => a - b);
  let skipped = 0;
  // The probability that no more than `skipped` values lie below the median.
  let [probability, term] = [0.5 ** count, 0.5 ** count];
  while (2 * probability <= 0.05) {
    skipped += 1;
    term *= (count - skipped + 1) / skipped;
    probability += term;
  }
  if (skipped === 0) return [Number.NaN, Number.NaN];
  return [sorted[skipped - 1] ?? Number.NaN, sorted[count - skipped] ?? Number.NaN];
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function rounded4(value: number): number {
  return Math.round(value * 10_000) / 10_000;
}
