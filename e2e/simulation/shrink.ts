import type { Judgement } from "./judge/oracle.ts";
import type { Plan } from "./plan/draw.ts";
import type { Scenario } from "./plan/scenario.ts";

/** Plays a plan and says what it came to. */
export type Play = (plan: Plan) => Promise<Pick<Judgement, "violations">>;

/** The smallest plan that was found to break the same promise, and how many plays that took. */
export type Shrunk = Readonly<{ plan: Plan; check: string; plays: number }>;

/**
 * Takes out of a plan whatever is not needed to break the promise that its play breaks first: faults, then runs, then
 * the noise, the second operator and the skewed clocks, then time. A smaller plan counts only if it breaks the same
 * promise. Null where the plan breaks none.
 */
export async function shrink(
  plan: Plan,
  play: Play,
  { mostPlays = 200 }: { mostPlays?: number } = {},
): Promise<Shrunk | null> {
  const { violations } = await play(plan);
  const check = violations[0]?.check;
  if (check === undefined) return null;
  const search = new Search(play, { check, left: mostPlays });
  const fewer = await search.fewest(plan.faults, (faults) => ({ ...plan, faults }));
  let best: Plan = { ...plan, faults: fewer };
  best = await fewerRuns(best, search);
  for (const simpler of simplifications) best = await search.better(best, simpler(best));
  for (;;) {
    const shorter = halved(best);
    if (shorter.chaosMs === best.chaosMs || !(await search.breaks(shorter))) break;
    best = shorter;
  }
  return { plan: best, check, plays: search.plays + 1 };
}

/** Plays candidates for as long as it may, and knows which break the promise. */
class Search {
  readonly #play: Play;
  readonly #check: string;
  #left: number;
  plays = 0;

  constructor(play: Play, { check, left }: { check: string; left: number }) {
    this.#play = play;
    this.#check = check;
    this.#left = left;
  }

  /** Whether a plan breaks the promise; none does once there are no plays left. */
  async breaks(plan: Plan): Promise<boolean> {
    if (this.#left === 0) return false;
    this.#left -= 1;
    this.plays += 1;
    const { violations } = await this.#play(plan);
    return violations.some(({ check }) => check === this.#check);
  }

  /** The other plan if it breaks the promise as well, else the first. */
  async better(plan: Plan, other: Plan | null): Promise<Plan> {
    return other !== null && (await this.breaks(other)) ? other : plan;
  }

  /**
   * Delta debugging: tries to leave out ever smaller parts of the list until no single item can go. Half of a list is tried
   * before any one of it, so a plan of which one fault matters is found in a few plays.
   */
  async fewest<T>(items: readonly T[], planOf: (items: readonly T[]) => Plan): Promise<readonly T[]> {
    let kept = items;
    let size = Math.max(1, Math.ceil(kept.length / 2));
    while (kept.length > 0) {
      const smaller = await this.#without(kept, { size, planOf });
      if (smaller !== null) kept = smaller;
      else if (size === 1) return kept;
      else size = Math.ceil(size / 2);
      size = Math.min(size, Math.max(1, kept.length));
    }
    return kept;
  }

  async #without<T>(
    items: readonly T[],
    { size, planOf }: { size: number; planOf: (items: readonly T[]) => Plan },
  ): Promise<readonly T[] | null> {
    for (let from = 0; from < items.length; from += size) {
      const rest = [...items.slice(0, from), ...items.slice(from + size)];
      if (await this.breaks(planOf(rest))) return rest;
    }
    return null;
  }
}

async function fewerRuns(plan: Plan, search: Search): Promise<Plan> {
  let best = plan;
  for (const { name } of plan.scenario.runs) {
    if (best.scenario.runs.length === 1) return best;
    best = await search.better(best, withoutRun(best, name));
  }
  return best;
}

/** A run goes with the faults that are aimed at it. */
function withoutRun({ scenario, faults, ...plan }: Plan, name: string): Plan {
  const concerns = ({ target, moment }: Plan["faults"][number]) =>
    target === name || ("run" in moment && moment.run === name);
  const runs = scenario.runs.filter((run) => run.name !== name);
  return { ...plan, scenario: { ...scenario, runs }, faults: faults.filter((fault) => !concerns(fault)) };
}

const simplifications: readonly ((plan: Plan) => Plan | null)[] = [
  (plan) => (plan.scenario.noise.share === 0 ? null : withScenario(plan, { noise: { share: 0, longestMs: 0 } })),
  (plan) => (plan.scenario.operators === 1 ? null : withScenario(plan, { operators: 1 })),
  (plan) => (Object.keys(plan.scenario.skewsMs).length === 0 ? null : withScenario(plan, { skewsMs: {} })),
];

function withScenario(plan: Plan, change: Partial<Scenario>): Plan {
  return { ...plan, scenario: { ...plan.scenario, ...change } };
}

/** Never shorter than the last fault that begins at an instant. */
function halved(plan: Plan): Plan {
  const instants = plan.faults.map(({ moment }) => ("atMs" in moment ? moment.atMs + 1 : 0));
  return { ...plan, chaosMs: Math.min(plan.chaosMs, Math.max(1_000, Math.floor(plan.chaosMs / 2), ...instants)) };
}
