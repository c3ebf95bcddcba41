import { describe, expect, test } from "vitest";
import { drawPlan } from "./draw.ts";
import { faultNames, kindOf } from "./faults.ts";
import { expectedOfPlan, healingOf } from "./heal.ts";

const plans = Array.from({ length: 3_000 }, (_, seed) => drawPlan(seed));
const faults = plans.flatMap((plan) => plan.faults);
const limits = { requests: { perSecond: 20, burst: 30 }, lease: null, blindMs: 60_000, lagSeconds: 60 };

describe("the plan of a seed", () => {
  test("is the same each time, and another for another seed", () => {
    expect(drawPlan(7)).toEqual(drawPlan(7));
    expect(new Set(plans.map((plan) => JSON.stringify(plan))).size).toBe(plans.length);
  });

  test("is data: it survives being written down", () => {
    for (const plan of plans.slice(0, 100)) expect(JSON.parse(JSON.stringify(plan))).toEqual(plan);
  });

  test("is drawn from every kind of fault, each also with few others", () => {
    const drawn = new Set(faults.map(({ kind }) => kind));
    expect(faultNames.filter((kind) => !drawn.has(kind))).toEqual([]);
    expect(plans.some((plan) => plan.faults.length === 0)).toBe(true);
    expect(plans.some((plan) => plan.faults.length >= 7)).toBe(true);
    expect(plans.some((plan) => plan.scenario.runs.length === 3 && plan.scenario.operators === 2)).toBe(true);
  });

  test("has only kinds that can be played", () => {
    const some = Array.from({ length: 50 }, (_, seed) => drawPlan(seed, ["PodEvicted", "ServerDown"]));
    const kinds = new Set(some.flatMap((plan) => plan.faults.map(({ kind }) => kind)));
    expect(kinds).toEqual(new Set(["PodEvicted", "ServerDown"]));
  });

  test("aims about half of its faults at a state of a run, the others at an instant of the chaos", () => {
    const aimed = faults.filter(({ moment }) => "state" in moment).length / faults.length;
    expect(aimed).toBeGreaterThan(0.4);
    expect(aimed).toBeLessThan(0.6);
    const late = plans.filter(({ chaosMs, faults }) =>
      faults.some(({ moment }) => "atMs" in moment && moment.atMs >= chaosMs),
    );
    expect(late).toEqual([]);
  });

  test("gives each fault a target that can be met, and arguments of its kind", () => {
    for (const { scenario, faults } of plans) {
      for (const { kind, target, args } of faults) {
        const { aim, needs, args: ranges = {} } = kindOf(kind);
        const run = scenario.runs.find(({ name }) => name === target);
        expect(run !== undefined).toBe(aim === "Run");
        if (needs === "Volume") expect(run?.volume).not.toBe("None");
        if (needs === "Bucket") expect(run?.hasBucket).toBe(true);
        if (needs === "Gang") expect(run?.workers).toBeGreaterThan(1);
        expect(Object.keys(args)).toEqual(Object.keys(ranges));
        for (const [name, [from, to]] of Object.entries(ranges)) {
          expect(args[name]).toBeGreaterThanOrEqual(from);
          expect(args[name]).toBeLessThanOrEqual(to);
        }
      }
    }
  });

  test("has a run that hangs watched for stalls, and puts one into a queue that does something to it", () => {
    const wanted = plans.flatMap(({ scenario, faults }) =>
      faults.map(({ kind, target }) => ({ kind, run: scenario.runs.find(({ name }) => name === target) })),
    );
    const hung = wanted.filter(({ kind }) => kind === "TrainerHangs");
    expect(hung.length).toBeGreaterThan(0);
    for (const { run } of hung) expect(run?.stallSeconds).toBeGreaterThanOrEqual(30);
    const ofQueue = ["QueueHolds", "QueueTakesBack", "RunRequeued"];
    const queued = wanted.filter(({ kind }) => ofQueue.includes(kind));
    expect(queued.length).toBeGreaterThan(0);
    for (const { run } of queued) expect(run?.isQueued).toBe(true);
  });

  test("lets a run start over whose only copy it damages", () => {
    for (const { scenario, faults } of plans) {
      const harmed = faults.filter(({ kind }) => kindOf(kind).harms !== undefined);
      for (const { target } of harmed) {
        expect(scenario.runs.find(({ name }) => name === target)?.noneVerified).toBe("StartOver");
      }
    }
  });
});

describe("the end of chaos", () => {
  test("lifts whatever lasts, and renews what is gone", () => {
    for (const plan of plans) {
      const healing = healingOf(plan);
      for (const { id, kind, target } of plan.faults) {
        const isLifted = healing.some((act) => act.kind === "Lift" && act.fault === id);
        expect(isLifted).toBe(kindOf(kind).lasts && kind !== "RunSuspended");
        if (kind === "NodeDeleted") expect(healing).toContainEqual({ kind: "RenewNode", node: target });
        if (kind === "NamespaceDeleted") expect(healing.at(-1)).toMatchObject({ kind: "DeleteNamespace" });
      }
    }
  });

  test("knows the end of each run before the play, and every end comes up", () => {
    const expected = plans.flatMap((plan) => expectedOfPlan(plan, { limits, finals: new Map() }).runs);
    expect(new Set(expected.map(({ end }) => end))).toEqual(new Set(["Complete", "Failed", "Suspended", "Deleted"]));
    const failing = expected.filter(({ end }) => end === "Failed");
    expect(failing.every(({ failure }) => failure !== undefined)).toBe(true);
  });

  test("goes on with a run that is suspended and to be resumed, and leaves one that is not", () => {
    const suspended = plans.flatMap((plan) =>
      plan.faults
        .filter(({ kind }) => kind === "RunSuspended")
        .map(({ target, args }) => ({ plan, target, isResumed: args.resumed === 1 })),
    );
    expect(new Set(suspended.map(({ isResumed }) => isResumed)).size).toBe(2);
    for (const { plan, target, isResumed } of suspended) {
      if (isResumed) expect(healingOf(plan)).toContainEqual({ kind: "Resume", run: target });
    }
  });
});
