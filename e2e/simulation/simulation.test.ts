import { describe, expect, test } from "vitest";
import { nothingTried, together, untried } from "./judge/coverage.ts";
import { playable } from "./model/fault-kinds.ts";
import { faultNames } from "./plan/faults.ts";
import { planOfKind } from "./plan/test/every-kind.ts";
import { playMany } from "./pool.ts";
import type { Answer } from "./worker.ts";

/** The plays of one seed, one or two. */
type Plays = readonly [Answer, ...Answer[]];

/**
 * Plays as many seeds, half of them in one Node and half in another, then every fifth of each half in the other's Node,
 * in another order. A fifth is enough to notice what seeds have in common; what few of them do, ten minutes of them tell.
 */
async function playSeeds(count: number, { isCalm }: { isCalm: boolean }): Promise<readonly Plays[]> {
  const asked = Array.from({ length: count }, (_, index) => ({ seed: index + 1, isCalm }));
  const halves = [0, 1].map((rest) => asked.filter(({ seed }) => seed % 2 === rest));
  const again = halves.map((half) => half.filter(({ seed }) => seed % 5 === 0).toReversed());
  const lanes = halves.map((half, lane) => [...half, ...(again[1 - lane] ?? [])]);
  const answers = (await Promise.all(lanes.map((lane) => playMany(lane, { workers: 1 })))).flat();
  const bySeed = Map.groupBy(answers, (answer) => answer.asked.seed);
  return [...bySeed.values()].flatMap(([first, ...others]) =>
    first === undefined ? [] : [[first, ...others] as const],
  );
}

/** What an answer says, as far as two plays of a seed have to agree on it. */
function told({ cpuMs: _, ...answer }: Answer): unknown {
  return answer;
}

/** The play itself; throws with the seed where there was none. */
function played(answer: Answer): Exclude<Answer, { error: string }> {
  if ("error" in answer) throw new Error(`Cannot play seed ${answer.asked.seed}: ${answer.error}`);
  return answer;
}

/** Fails for a play that was another one where it was played again. */
function expectAlike(plays: readonly Plays[]): void {
  const repeated = plays.filter(({ length }) => length > 1);
  expect(repeated.length).toBe(Math.floor(plays.length / 5));
  for (const [first, ...others] of repeated) for (const other of others) expect(told(other)).toEqual(told(first));
}

/** Fails for each violation, and for a promise that there was nothing to show for in all of the plays. */
function expectKept(plays: readonly Plays[], shown: readonly string[]): void {
  let tried = nothingTried;
  for (const [answer] of plays) {
    const { judgement, asked, leaked, tried: own } = played(answer);
    const { violations } = judgement;
    expect({ asked, violations, leaked }).toEqual({ asked, violations: [], leaked: [] });
    tried = together(tried, own);
  }
  expect(untried(tried, { checks: shown, faults: [] })).toEqual([]);
}

/** The promises that plays without faults have something to show for already. */
const always = "S1 S2 S3 S5 S6 S7 S8 S9 S10 S12 S13 S14 S15 E1 E2 E3 E4 E6".split(" ");
const patience = { timeout: 300_000 };

describe("runs that nothing happens to, with the real operator, agents and checkpoints", patience, () => {
  const plays = playSeeds(10, { isCalm: true });

  test("are played alike in two Nodes, whatever was played there before", async () => {
    expectAlike(await plays);
  });

  test("keep every promise that the judge knows", async () => {
    expectKept(await plays, always);
  });

  test("are complete at their last step after one attempt, and nothing is written any more", async () => {
    for (const [answer] of await plays) {
      const { runs, writesInQuiet, asked } = played(answer);
      const ends = runs.map(({ state, attempts }) => `${state} after ${attempts}`);
      const wanted = runs.map(() => "Complete after 1");
      expect({ asked, ends, writesInQuiet }).toEqual({ asked, ends: wanted, writesInQuiet: 0 });
    }
  });
});

describe(
  "runs that are killed, edited, deleted, cut off, lose power or storage, and crash by themselves",
  patience,
  () => {
    const plays = playSeeds(60, { isCalm: false });

    test("are played alike in two Nodes, whatever was played there before", async () => {
      expectAlike(await plays);
    });

    test("keep every promise that the judge knows, and come to the ends that their plans have for them", async () => {
      // How far a bucket is behind counts only once it has been well for long, and few of these plays go on till then.
      const shown = [...always.filter((id) => id !== "E4"), "S4", "S11", "E5"];
      expectKept(await plays, shown);
    });

    test("needed further attempts", async () => {
      const answers = (await plays).map(([answer]) => played(answer));
      expect(answers.filter(({ runs }) => runs.some(({ attempts }) => attempts > 1)).length).toBeGreaterThan(5);
    });

    test("met faults of every kind: where none of a kind was drawn, in a plan that is made for it", async () => {
      const answers = (await plays).map(([answer]) => played(answer));
      const drawn = answers.flatMap(({ tried }) => faultNames.filter((kind) => (tried.faults[kind]?.met ?? 0) > 0));
      expect(new Set(drawn).size).toBeGreaterThan(20);
      const left = faultNames.filter((kind) => playable[kind] !== undefined && !drawn.includes(kind));
      const made = left.map((kind, seed) => ({ seed, isCalm: false, plan: planOfKind(kind) }));
      const seen = (await playMany(made, { workers: 2 })).map(played).map(({ judgement, tried }, index) => {
        const kind = left[index] ?? "";
        return { kind, met: tried.faults[kind]?.met, violations: judgement.violations };
      });
      expect(seen).toEqual(left.map((kind) => ({ kind, met: 1, violations: [] })));
    });
  },
);
