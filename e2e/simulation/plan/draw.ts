import { Chance, type Row } from "../host/chance.ts";
import { bearing } from "./bearing.ts";
import { aimedStates, type Fault, type FaultKind, type FaultName, faultNames, kindOf, type Moment } from "./faults.ts";
import { asGang } from "./gangs.ts";
import { nodeName, operatorName, type Program, type RunScenario, type Scenario } from "./scenario.ts";

/** A play before it is played: everything that is decided, as data. What is drawn during the play is keyed by the seed. */
export type Plan = Readonly<{
  seed: number;
  scenario: Scenario;
  faults: readonly Fault[];
  /** How long faults may begin. */
  chaosMs: number;
}>;

/** From `least` on: up to `usually` in the smallest plans, up to `most` in the largest. */
type Span = Readonly<{ least: number; usually: number; most: number }>;

/** Of what a plan has few or many. */
const spans = {
  runs: { least: 1, usually: 1, most: 3 },
  faults: { least: 1, usually: 3, most: 8 },
  saves: { least: 2, usually: 3, most: 6 },
  intervalSteps: { least: 2, usually: 4, most: 10 },
} as const satisfies Record<string, Span>;

/**
 * Draws the plan of a seed. Most are small, since many small plans find more than a few large ones do; few are large, for
 * what takes many runs, faults or checkpoints. Swarm: each kind of fault is switched on or off, so that a seed has few
 * kinds and tries them with each other; then faults are drawn from those that are on. No draw depends on another fault's.
 * `kinds` are those that can be played.
 */
export function drawPlan(seed: number, kinds: readonly FaultName[] = faultNames): Plan {
  const chance = new Chance(seed);
  const row = chance.row("plan", "shape");
  const size = drawSize(row);
  const scenario = drawScenario(chance, size);
  const chaosMs = drawChaos(row, scenario);
  const on = kinds.filter((kind) => chance.draw("swarm", kind, 0) < 0.5);
  const count = on.length === 0 ? 0 : amount(row, size, spans.faults);
  const faults = Array.from({ length: count }, (_, index) =>
    drawFault(chance.row("fault", String(index)), { id: `f${index}`, scenario, on, chaosMs }),
  );
  const drawn = faults.filter((fault) => fault !== null);
  return { seed, scenario: bearing(scenario, drawn), faults: drawn, chaosMs };
}

/** From 0 to 1: half of the plans have less than an eighth, one in thirty more than nine tenths. */
function drawSize(row: Row): number {
  return row.next() ** 3;
}

function amount(row: Row, size: number, { least, usually, most }: Span): number {
  const top = Math.round(usually + size * (most - usually));
  return least + row.below(top - least + 1);
}

/** Faults begin while the runs are about; in a fourth of the plans they may as well find nothing but what has ended. */
function drawChaos(row: Row, { runs }: Scenario): number {
  const anyMs = 30_000 + row.below(longestChaosMs - 30_000);
  const livesMs = Math.max(...runs.map(lifeMs)) * (0.75 + row.next());
  return row.hits(1 / 4) ? anyMs : Math.min(Math.round(livesMs), longestChaosMs);
}

const longestChaosMs = 180_000;

/** About how long a run takes that nothing happens to. */
function lifeMs({ appearsAtMs, targetStep, stepMs, intervalSteps, saveMs }: RunScenario): number {
  return appearsAtMs + beginningMs + targetStep * stepMs + (targetStep / intervalSteps) * saveMs;
}

/** From the creation of a run to its first step, and from its last to its end. */
const beginningMs = 6_000;

function drawScenario(chance: Chance, size: number): Scenario {
  const row = chance.row("plan", "scenario");
  const [runs, nodes] = [amount(row, size, spans.runs), oneOf(row, [2, 3])];
  const operators = oneOf(row, [1, 1, 1, 2] as const);
  const noise = drawNoise(row);
  const isSkewed = row.hits(1 / 3);
  const hasDecoys = row.hits(1 / 3);
  const clocks = [
    ...Array.from({ length: nodes }, (_, index) => nodeName(index)),
    operatorName(0),
    operatorName(1),
    "server",
  ];
  const drawn = Array.from({ length: runs }, (_, index) =>
    asGang(drawRun(chance.row("run", String(index)), { index, size }), { chance, index }),
  );
  const mostSkewMs = drawn.some(({ hasBucket }) => hasBucket) ? storeSkewMs : hourMs;
  const skews = clocks.map((who) => [who, Math.round((chance.draw("skew", who, 0) - 0.5) * 2 * mostSkewMs)] as const);
  return {
    runs: drawn,
    nodes,
    hasDecoys,
    operators,
    noise,
    skewsMs: isSkewed ? Object.fromEntries(skews) : {},
  };
}

const hourMs = 3_600_000;
/** A store refuses what was signed a quarter of an hour off: such a node could never train from it. */
const storeSkewMs = 6 * 60_000;
/** By a call and in the mean, twice over: a save is some sixty of them, and should not take minutes. */
const mostNoiseMs = 10;

function drawNoise(row: Row): Scenario["noise"] {
  const share = oneOf(row, [0, 0.03, 0.3, 1]);
  const longestMs = oneOf(row, [5, 50, 500]);
  return share === 0 ? { share, longestMs: 0 } : { share, longestMs: Math.min(longestMs, mostNoiseMs / share) };
}

function drawRun(row: Row, { index, size }: { index: number; size: number }): RunScenario {
  const volume = oneOf(row, ["ReadWriteOnce", "ReadWriteOnce", "ReadWriteMany", "None"] as const);
  const hasBucket = volume === "None" || row.hits(0.35);
  const policy = oneOf(row, ["Wait", "Wait", "Fence"] as const);
  const intervalSteps = amount(row, size, spans.intervalSteps);
  const targetStep = intervalSteps * amount(row, size, spans.saves);
  const saveMs = oneOf(row, [200, 1_000, 4_000, 15_000]);
  return {
    namespace: oneOf(row, ["team-a", "team-a", "team-b"]),
    name: `run-${index}`,
    appearsAtMs: row.below(5_000),
    workers: 1,
    volume,
    hasBucket,
    targetStep,
    stepMs: oneOf(row, [200, 1000, 3000]),
    intervalSteps,
    saveMs,
    graceSeconds: oneOf(row, [leastGraceSeconds, 30, 60]),
    program: drawProgram(row, targetStep),
    failures: enoughFailures,
    nodeLost: policy === "Wait" ? { policy } : { policy, afterSeconds: oneOf(row, [30, 60]) },
    deletionPolicy: oneOf(row, ["Retain", "Delete"] as const),
    keptLast: oneOf(row, [2, 3]),
    noneVerified: oneOf(row, ["Fail", "Fail", "StartOver"] as const),
  };
}

/** What a run must have. */
const leastGraceSeconds = 10;
/** More than a plan can spend, so that a run that can finish does. */
const enoughFailures = 50;

function drawProgram(row: Row, targetStep: number): Program {
  const onStop = oneOf(row, ["Saves", "Saves", "Saves", "Ignores", "ExitsZero"] as const);
  const crashes = oneOf(row, [0, 0, 0, 1, 2]);
  const crashesAt = Array.from({ length: crashes }, () => 1 + row.below(targetStep - 1));
  const isPoisoned = row.hits(0.04);
  return {
    onStop,
    crashesAt: [...new Set(crashesAt)].sort((a, b) => a - b),
    poison: isPoisoned ? targetStep - 1 : null,
  };
}

type Frame = Readonly<{ id: string; scenario: Scenario; on: readonly FaultName[]; chaosMs: number }>;

/** Null where the kind that was drawn has nothing to meet in this scenario. */
function drawFault(row: Row, { id, scenario, on, chaosMs }: Frame): Fault | null {
  const kind = oneOf(row, on);
  const moment = drawMoment(row, { scenario, chaosMs });
  const target = drawTarget(row, { kind, scenario });
  const forMs = 1_000 + row.below(120_000);
  const ranges = Object.entries(kindOf(kind).args ?? {});
  const args = Object.fromEntries(ranges.map(([name, [from, to]]) => [name, from + row.below(to - from + 1)]));
  if (target === null) return null;
  return { id, kind, moment, target, forMs, args: kind === "ClockStepped" ? steppedIn(scenario, args) : args };
}

/** A clock steps no further than it may be off. */
function steppedIn({ runs }: Scenario, { byMs = 0, ...args }: Readonly<Record<string, number>>) {
  const share = runs.some(({ hasBucket }) => hasBucket) ? storeStepShare : 1;
  return { ...args, byMs: Math.round(byMs * share) };
}

/** Of an hour: with two clocks that are off in the beginning, less than a quarter of one. */
const storeStepShare = 1 / 30;

/** Half of the faults are aimed at a state of a run, which an instant would hardly ever meet. */
function drawMoment(row: Row, { scenario, chaosMs }: Pick<Frame, "scenario" | "chaosMs">): Moment {
  const atMs = row.below(chaosMs);
  const [run, state, delayMs] = [oneOf(row, scenario.runs).name, oneOf(row, aimedStates), row.below(2_000)];
  return row.hits(0.5) ? { run, state, delayMs } : { atMs };
}

function drawTarget(row: Row, { kind, scenario }: { kind: FaultName; scenario: Scenario }): string | null {
  const { aim, needs } = kindOf(kind);
  switch (aim) {
    case "Node":
      return nodeName(row.below(scenario.nodes));
    case "Operator":
      return operatorName(row.below(scenario.operators));
    case "Server":
      return "server";
    case "Namespace":
      return oneOf(row, scenario.runs).namespace;
    case "Run": {
      const fitting = scenario.runs.filter((run) => needs === undefined || has(run, needs));
      return fitting.length === 0 ? null : oneOf(row, fitting).name;
    }
    default:
      return aim satisfies never;
  }
}

function has({ volume, hasBucket, workers }: RunScenario, needed: NonNullable<FaultKind["needs"]>): boolean {
  return { Volume: volume !== "None", Bucket: hasBucket, Gang: workers > 1 }[needed];
}

function oneOf<T>(row: Row, values: readonly T[]): T {
  const value = values[row.below(values.length)];
  if (value === undefined) throw new RangeError("Cannot draw one of no values");
  return value;
}
