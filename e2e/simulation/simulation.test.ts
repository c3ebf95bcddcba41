import { describe, expect, test } from "vitest";
import { playMany } from "./pool.ts";
import type { Answer } from "./worker.ts";

const seeds = Array.from({ length: 20 }, (_, index) => index + 1);

/** What came of the seeds, played twice, each time in a Node of its own. */
async function playTwice(isCalm: boolean): Promise<readonly (readonly [Answer, Answer])[]> {
  const asked = seeds.map((seed) => ({ seed, isCalm }));
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

describe("runs that nothing happens to, with the real operator, agents and checkpoints", { timeout: 240_000 }, () => {
  const plays = playTwice(true);
  /** The promises that a play without faults has something to show for. */
  const judged = ["S1", "S2", "S3", "S5", "S6", "S7", "S8", "S9", "S10", "S12", "S15", "E1", "E2", "E3", "E6"];

  test("are played alike in two Nodes, whatever was played there before", async () => {
    for (const [one, other] of await plays) expect(told(one)).toEqual(told(other));
  });

  test("keep every promise that the judge knows", async () => {
    const evaluations = new Map<string, number>();
    for (const [answer] of await plays) {
      const { judgement, asked } = played(answer);
      expect({ asked, violations: judgement.violations }).toEqual({ asked, violations: [] });
      for (const [id, count] of Object.entries(judgement.evaluations)) {
        evaluations.set(id, (evaluations.get(id) ?? 0) + count);
      }
    }
    for (const id of judged) expect({ id, count: evaluations.get(id) }).not.toEqual({ id, count: 0 });
  });

  test("are complete at their last step after one attempt, and nothing is written any more", async () => {
    for (const [answer] of await plays) {
      const { runs, writesInQuiet, leaked, asked } = played(answer);
      const ends = runs.map(({ state, attempts }) => `${state} after ${attempts}`);
      expect({ asked, ends, writesInQuiet, leaked }).toEqual({
        asked,
        ends: runs.map(() => "Complete after 1"),
        writesInQuiet: 0,
        leaked: [],
      });
    }
  });
});
