import { describe, expect, test } from "vitest";
import { allChecks } from "./judge/checks.ts";
import { drawPlan } from "./plan/draw.ts";
import { planOf } from "./play.ts";
import { playMany } from "./pool.ts";
import { PlanInFile, regressions } from "./regressions.ts";

describe("a plan in a file", () => {
  test("is the plan that was written", () => {
    for (let seed = 0; seed < 300; seed += 1) {
      for (const plan of [drawPlan(seed), planOf(seed)]) {
        expect(PlanInFile.parse(JSON.parse(JSON.stringify(plan)))).toEqual(plan);
      }
    }
  });

  test("keeps what a later version adds, and is refused where it says what nobody can play", () => {
    const plan = drawPlan(1);
    expect(PlanInFile.parse({ ...plan, later: true })).toEqual({ ...plan, later: true });
    const fault = { id: "f0", kind: "PodStolen", moment: { atMs: 1 }, target: "run-0", forMs: 1, args: {} };
    expect(PlanInFile.safeParse({ ...plan, faults: [fault] }).success).toBe(false);
    expect(PlanInFile.safeParse({ ...plan, scenario: {} }).success).toBe(false);
  });

  test("is played in the place of what its seed draws", { timeout: 120_000 }, async () => {
    const plan = planOf(2, { isCalm: true });
    const asked = [
      { seed: 1, isCalm: false, plan },
      { seed: 2, isCalm: true },
    ];
    const [given, drawn] = await playMany(asked, { workers: 1 });
    if (given === undefined || drawn === undefined || "error" in given || "error" in drawn) {
      throw new Error(`Cannot compare plays that did not end: ${JSON.stringify([given, drawn])}`);
    }
    expect([given.hash, given.runs]).toEqual([drawn.hash, drawn.runs]);
  });
});

describe("the plans that broke a promise once", () => {
  const known = regressions();

  test("name a check that there is", () => {
    const ids = allChecks.map(({ id }) => id);
    for (const { check } of known) expect([...ids, "Throws", "Hangs"]).toContain(check);
  });

  test("break none any more", { timeout: 300_000 }, async () => {
    const asked = known.map(({ plan }) => ({ seed: plan.seed, isCalm: false, plan }));
    for (const answer of await playMany(asked, { workers: 2 })) {
      const broken = "error" in answer ? answer.error : answer.judgement.violations;
      expect({ seed: answer.asked.seed, broken }).toEqual({ seed: answer.asked.seed, broken: [] });
    }
  });
});
