import { describe, expect, test } from "vitest";
import { drawPlan, type Plan } from "./plan/draw.ts";
import type { Fault, FaultName } from "./plan/faults.ts";
import { type Play, shrink } from "./shrink.ts";

/** A play that breaks `check` wherever the plan is so. */
function breaking(check: string, isSo: (plan: Plan) => boolean): Play {
  return async (plan) => ({
    violations: isSo(plan) ? [{ check, guards: "I1", atMs: 1, what: "it is so" }] : [],
  });
}

function fault(id: string, kind: FaultName, target = "run-0"): Fault {
  return { id, kind, moment: { atMs: Number(id.slice(1)) * 1_000 }, target, forMs: 1_000, args: {} };
}

const drawn = drawPlan(1);
const [run] = drawn.scenario.runs;
if (run === undefined) throw new Error("Cannot test with a plan that has no run");
const plan: Plan = {
  ...drawn,
  chaosMs: 160_000,
  scenario: {
    nodes: 3,
    operators: 2,
    noise: { share: 1, longestMs: 500 },
    skewsMs: { server: 5 },
    runs: [run, { ...run, name: "run-1" }, { ...run, name: "run-2" }],
  },
  faults: [
    fault("f0", "PodEvicted"),
    fault("f1", "NodeFrozen", "node-0"),
    fault("f2", "TrainerKilled", "run-1"),
    fault("f3", "WatchStalled", "operator-0"),
    fault("f4", "VolumeFull"),
    fault("f5", "AnswerLost", "operator-0"),
    fault("f6", "PodDeleted", "run-2"),
  ],
};

function has(...kinds: readonly FaultName[]): (plan: Plan) => boolean {
  return ({ faults }) => kinds.every((kind) => faults.some((each) => each.kind === kind));
}

describe("shrinking a plan", () => {
  test("leaves the one fault that matters, one run, and nothing else", async () => {
    const shrunk = await shrink(plan, breaking("S8", has("AnswerLost")));
    expect(shrunk?.check).toBe("S8");
    expect(shrunk?.plan.faults.map(({ id }) => id)).toEqual(["f5"]);
    expect(shrunk?.plan.scenario).toMatchObject({ operators: 1, noise: { share: 0 }, skewsMs: {} });
    expect(shrunk?.plan.scenario.runs).toHaveLength(1);
    expect(shrunk?.plan.chaosMs).toBe(5_001);
  });

  test("leaves every fault of a pair that only matters together", async () => {
    const shrunk = await shrink(plan, breaking("S1", has("PodEvicted", "PodDeleted")));
    expect(shrunk?.plan.faults.map(({ id }) => id)).toEqual(["f0", "f6"]);
    expect(shrunk?.plan.scenario.runs.map(({ name }) => name)).toContain("run-2");
  });

  test("leaves what the breach needs besides faults", async () => {
    const isSo = ({ scenario }: Plan) => scenario.operators === 2 && scenario.runs.length >= 2;
    const shrunk = await shrink(plan, breaking("S14", isSo));
    expect(shrunk?.plan.faults).toEqual([]);
    expect(shrunk?.plan.scenario).toMatchObject({ operators: 2, noise: { share: 0 } });
    expect(shrunk?.plan.scenario.runs).toHaveLength(2);
  });

  test("does not take another broken promise for the same", async () => {
    const play: Play = async (tried) => {
      const check = has("VolumeFull")(tried) ? "S5" : "E1";
      return { violations: [{ check, guards: "I6", atMs: 1, what: "it is so" }] };
    };
    const shrunk = await shrink(plan, play);
    expect(shrunk?.plan.faults.map(({ kind }) => kind)).toEqual(["VolumeFull"]);
  });

  test("says so where the plan breaks nothing", async () => {
    expect(
      await shrink(
        plan,
        breaking("S1", () => false),
      ),
    ).toBeNull();
  });

  test("ends after so many plays, with the best that it has", async () => {
    const shrunk = await shrink(plan, breaking("S8", has("AnswerLost")), { mostPlays: 3 });
    expect(shrunk?.plays).toBeLessThanOrEqual(4);
    expect(shrunk?.plan.faults.map(({ id }) => id)).toContain("f5");
  });
});
