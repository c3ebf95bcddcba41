import { describe, expect, test } from "vitest";
import { nothingTried, together, untried } from "./judge/coverage.ts";
import { playMany } from "./pool.ts";
import type { Answer } from "./worker.ts";

/** What came of as many seeds, played twice, each time in a Node of its own and in another order. */
async function playTwice(
  count: number,
  { isCalm }: { isCalm: boolean },
): Promise<readonly (readonly [Answer, Answer])[]> {
  const asked = Array.from({ length: count }, (_, index) => ({ seed: index + 1, isCalm }));
  const [once, again] = await Promise.all([
    playMany(asked, { workers: 1 }),
    playMany(asked.toReversed(), { workers: 1 }),
  ]);
  return once.flatMap((answer, index) => {
    const other = again[index];
    return other === undefined ? [] : [[answer, other] as const];
  });
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

/** Fails for each violation, and for a promise that there was nothing to show for in all of the plays. */
function expectKept(plays: readonly (readonly [Answer, Answer])[], shown: readonly string[]): void {
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
  const plays = playTwice(10, { isCalm: true });

  test("are played alike in two Nodes, whatever was played there before", async () => {
    for (const [one, other] of await plays) expect(told(one)).toEqual(told(other));
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
    const plays = playTwice(20, { isCalm: false });

    test("are played alike in two Nodes, whatever was played there before", async () => {
      for (const [one, other] of await plays) expect(told(one)).toEqual(told(other));
    });

    test("keep every promise that the judge knows, and come to the ends that their plans have for them", async () => {
      expectKept(await plays, [...always, "S4", "S11", "E5"]);
    });

    test("met faults of many kinds, and needed further attempts", async () => {
      const answers = (await plays).map(([answer]) => played(answer));
      const met = new Set(
        answers.flatMap(({ tried }) =>
          Object.entries(tried.faults).flatMap(([kind, of]) => (of.met > 0 ? [kind] : [])),
        ),
      );
      expect(met.size).toBeGreaterThan(20);
      expect(answers.filter(({ runs }) => runs.some(({ attempts }) => attempts > 1)).length).toBeGreaterThan(5);
    });
  },
);
