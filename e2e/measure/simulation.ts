import { isDeepStrictEqual } from "node:util";
import { RunState } from "@trainingrun/operator/api/status.ts";
import { allChecks } from "../simulation/judge/checks.ts";
import { nothingTried, type Tried, together, untried } from "../simulation/judge/coverage.ts";
import { playable } from "../simulation/model/fault-kinds.ts";
import { faultNames } from "../simulation/plan/faults.ts";
import { playAlong, playMany } from "../simulation/pool.ts";
import type { Answer, Asked } from "../simulation/worker.ts";
import { type Measurement, peakRssMiB, type Result, rounded } from "./result.ts";

const lanes = 2;
const goalSeeds = 20_000;
const goalSeconds = 600;
/** What is left of the time for the plays under way when no other is begun. */
const lastSeconds = 5;
const replayEvery = 16;
/** So many broken seeds are named in the figures; all of them are printed as they come. */
const mostNamed = 20;
const dayMs = 86_400_000;
const seedsPerDay = 1_000_000;

/**
 * Plays seed after seed for ten minutes: operator, agents and checkpoint library as they are, on model servers, disks and
 * buckets, with the faults that each seed draws. Every 16th seed is played again in the other Node, after other plays, and
 * has to be the same to the last event. Each day begins at other seeds.
 */
export const simulation: Measurement = {
  name: "simulation",
  what: `seeds of the simulation in ${goalSeconds} s, and what they broke`,
  seconds: goalSeconds,
  limitMs: 20 * 60_000,
  run: measureSimulation,
};

/** What the plays came to. */
export type PlayedSeeds = Readonly<{
  from: number;
  seconds: number;
  cpuMs: number;
  virtualMs: number;
  tried: Tried;
  /** Every play that broke something, with what. */
  broken: readonly Readonly<{ seed: number; what: string }>[];
  replayed: number;
  /** The seeds whose second play was another. */
  unlike: readonly number[];
}>;

async function measureSimulation(signal: AbortSignal): Promise<Result> {
  const seeds = new Seeds(Math.floor(Date.now() / dayMs) * seedsPerDay);
  const began = performance.now();
  const told = (answer: Answer, lane: number) => {
    for (const line of seeds.take(answer, lane)) console.log(`  ${line}`);
  };
  const endsAt = began + (goalSeconds - lastSeconds) * 1_000;
  await playAlong((lane) => seeds.next(lane, performance.now() < endsAt), { workers: lanes, told, signal });
  // A second play is due to the other Node, which may have been done by then.
  await playMany(seeds.due, { workers: lanes, told, signal });
  return simulationResult(seeds.played((performance.now() - began) / 1_000));
}

/** Gives out seeds, each 16th of them a second time to another lane, and adds up what came of them. */
export class Seeds {
  readonly #from: number;
  readonly #broken: { seed: number; what: string }[] = [];
  readonly #unlike: number[] = [];
  /** The first plays of seeds that are to be played again. */
  readonly #first = new Map<number, Answer>();
  readonly #again: Asked[][] = Array.from({ length: lanes }, () => []);
  #next: number;
  #replayed = 0;
  #cpuMs = 0;
  #virtualMs = 0;
  #tried: Tried = nothingTried;

  constructor(from: number) {
    this.#from = from;
    this.#next = from;
  }

  /** What a lane plays next: what is due to it, then seeds of which nobody has had any, where there is time. */
  next(lane: number, hasTime: boolean): Asked | undefined {
    const again = this.#again[lane]?.shift();
    if (again !== undefined || !hasTime) return again;
    this.#next += 1;
    return { seed: this.#next - 1, isCalm: false };
  }

  /** What was to be played a second time and was not. */
  get due(): readonly Asked[] {
    return [...this.#first.values()].map(({ asked }) => asked);
  }

  /** Takes in what came of a play; returns what a person has to be told of it. */
  take(answer: Answer, lane: number): readonly string[] {
    const { asked, cpuMs } = answer;
    const { seed } = asked;
    this.#cpuMs += cpuMs;
    const first = this.#first.get(seed);
    if (first !== undefined) return this.#compare(first, answer);
    if (seed % replayEvery === 0) {
      this.#first.set(seed, answer);
      this.#again[(lane + 1) % lanes]?.push(asked);
    }
    if (!("error" in answer)) {
      this.#tried = together(this.#tried, answer.tried);
      this.#virtualMs += answer.virtualMs;
    }
    const what = wordsOf(answer);
    if (what === null) return [];
    this.#broken.push({ seed, what });
    return [`seed ${seed}: ${what}`, `  node e2e/simulation/main.ts seed ${seed}`];
  }

  /** All of it. */
  played(seconds: number): PlayedSeeds {
    return {
      from: this.#from,
      seconds,
      cpuMs: this.#cpuMs,
      virtualMs: this.#virtualMs,
      tried: { ...this.#tried, plays: this.#next - this.#from },
      broken: this.#broken,
      replayed: this.#replayed,
      unlike: this.#unlike,
    };
  }

  #compare(first: Answer, again: Answer): readonly string[] {
    const { seed } = first.asked;
    this.#first.delete(seed);
    this.#replayed += 1;
    if (isDeepStrictEqual(toldBy(first), toldBy(again))) return [];
    this.#unlike.push(seed);
    return [`seed ${seed}: played again in another Node it was another play`];
  }
}

/** What the plays of the seeds come to. */
export function simulationResult(seen: PlayedSeeds): Result {
  const { tried, seconds, broken, replayed, unlike } = seen;
  const kinds = Object.keys(playable);
  const missing = untried(tried, { checks: allChecks.map(({ id }) => id), faults: kinds });
  const met = Object.entries(tried.faults).map(([kind, of]) => [kind, of.met] as const);
  return {
    name: "simulation",
    figures: {
      seeds: tried.plays,
      from: seen.from,
      seconds: rounded(seconds),
      msPerSeed: rounded(seen.cpuMs / tried.plays),
      virtualHours: Math.round(seen.virtualMs / 3_600_000),
      violations: broken.length,
      broken: broken.slice(0, mostNamed),
      faults: met.reduce((sum, [, count]) => sum + count, 0),
      faultsByKind: Object.fromEntries(met),
      faultsWithoutModel: faultNames.filter((kind) => !kinds.includes(kind)),
      cellsHit: Object.keys(tried.cells).length,
      cells: kinds.length * RunState.options.length,
      evaluations: tried.evaluations,
      untried: missing,
      replayed,
      replayedAlike: replayed - unlike.length,
      peakRssMiB: peakRssMiB(),
    },
    goals: {
      seeds: {
        goal: `at least ${goalSeeds} in at most ${goalSeconds} s`,
        met: tried.plays >= goalSeeds && seconds <= goalSeconds,
      },
      violations: { goal: "0", met: broken.length === 0 },
      untried: {
        goal: "every kind of fault has met something, every check had something to look at",
        met: missing.length === 0,
      },
      replayedAlike: {
        goal: `every ${replayEvery}th seed, to the last event`,
        met: unlike.length === 0 && replayed > 0 && replayed >= Math.floor(tried.plays / replayEvery),
      },
    },
  };
}

/** What a play has broken; null where nothing. */
function wordsOf(answer: Answer): string | null {
  if ("error" in answer) return answer.error;
  const [first] = answer.judgement.violations;
  if (first !== undefined) return `${first.check} (${first.guards}) at ${Math.round(first.atMs)} ms: ${first.what}`;
  return answer.leaked.length === 0 ? null : `it left something real behind: ${answer.leaked.join(", ")}`;
}

/** What two plays of a seed have to agree on. */
function toldBy({ cpuMs: _, ...answer }: Answer): unknown {
  return answer;
}
