import { describe, expect, test } from "vitest";
import { allChecks } from "../simulation/judge/checks.ts";
import { playable } from "../simulation/model/fault-kinds.ts";
import type { Answer, Asked } from "../simulation/worker.ts";
import { holds } from "./result.ts";
import { type PlayedSeeds, Seeds, simulationResult } from "./simulation.ts";

const tried = {
  plays: 20_000,
  violations: 0,
  evaluations: Object.fromEntries(allChecks.map(({ id }) => [id, 10])),
  faults: Object.fromEntries(Object.keys(playable).map((kind) => [kind, { began: 3, met: 2 }])),
  cells: { "PodEvicted x Saving": 7 },
};
const good: PlayedSeeds = {
  from: 16,
  seconds: 598,
  cpuMs: 1_100_000,
  virtualMs: 7_200_000,
  tried,
  broken: [],
  replayed: 1_250,
  unlike: [],
};

describe("the result of the simulation", () => {
  test("holds where 20,000 seeds broke nothing, and everything was tried", () => {
    const result = simulationResult(good);
    expect(holds(result)).toBe(true);
    expect(result.figures).toMatchObject({ seeds: 20_000, violations: 0, virtualHours: 2, cellsHit: 1, untried: [] });
  });

  test.each([
    ["a seed too few", { tried: { ...tried, plays: 19_999 } }],
    ["a minute more", { seconds: 660 }],
    ["a broken promise", { broken: [{ seed: 17, what: "S1" }] }],
    ["a check that looked at nothing", { tried: { ...tried, evaluations: { ...tried.evaluations, S1: 0 } } }],
    ["a kind that met nothing", { tried: { ...tried, faults: { ...tried.faults, PodEvicted: { began: 5, met: 0 } } } }],
    ["a second play that was another", { unlike: [32] }],
    ["a second play that was left out", { replayed: 1_249 }],
  ])("does not hold with %s", (_what, change) => {
    expect(holds(simulationResult({ ...good, ...change }))).toBe(false);
  });
});

describe("the seeds", () => {
  const none = { checks: {}, evaluations: {}, faults: {}, cells: {} };
  /** What a play says; `over` is whatever differs from a good one. */
  const said = (asked: Asked, over: Readonly<Record<string, unknown>> = {}) =>
    ({
      asked,
      cpuMs: 30,
      hash: "a",
      virtualMs: 1_000,
      leaked: [],
      judgement: { violations: [], evaluations: {} },
      tried: { plays: 1, violations: 0, ...none },
      ...over,
    }) as unknown as Answer;

  test("are given out one after the other, each 16th once more to the other lane", () => {
    const seeds = new Seeds(16);
    const given: string[] = [];
    for (let turn = 0; turn < 40; turn += 1) {
      const lane = turn % 2;
      const asked = seeds.next(lane, turn < 34);
      if (asked === undefined) continue;
      given.push(`${asked.seed} to ${lane}`);
      expect(seeds.take(said(asked), lane)).toEqual([]);
    }
    expect(given).toContain("16 to 0");
    expect(given).toContain("16 to 1");
    expect(given.filter((each) => each.startsWith("32 to"))).toHaveLength(2);
    expect(seeds.due).toEqual([]);
    expect(seeds.played(1)).toMatchObject({ replayed: 2, unlike: [], broken: [], cpuMs: 34 * 30 });
  });

  test("that break something are told with the command that plays them again", () => {
    const seeds = new Seeds(17);
    const violation = { check: "S8", guards: "I9", atMs: 12_345.6, what: "two pods" };
    const lines = seeds.take(said({ seed: 17, isCalm: false }, { judgement: { violations: [violation] } }), 0);
    expect(lines[0]).toContain("S8 (I9) at 12346 ms: two pods");
    expect(lines[1]).toContain("main.ts seed 17");
    seeds.take(said({ seed: 18, isCalm: false }, { leaked: ["Timeout"] }), 0);
    seeds.take({ asked: { seed: 19, isCalm: false }, cpuMs: 1, error: "it hung" }, 0);
    expect(seeds.played(1).broken.map(({ seed }) => seed)).toEqual([17, 18, 19]);
  });

  test("whose second play differs are told, and those not played again are due", () => {
    const seeds = new Seeds(16);
    seeds.take(said({ seed: 16, isCalm: false }), 0);
    seeds.take(said({ seed: 32, isCalm: false }), 0);
    expect(seeds.take(said({ seed: 16, isCalm: false }, { hash: "b", cpuMs: 99 }), 1)[0]).toContain("another play");
    expect(seeds.played(1)).toMatchObject({ replayed: 1, unlike: [16] });
    expect(seeds.due.map(({ seed }) => seed)).toEqual([32]);
  });
});
