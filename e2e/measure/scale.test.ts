import { describe, expect, test } from "vitest";
import type { Phase, Seen } from "../scale/scale-phases.ts";
import { holds } from "./result.ts";
import { scaleResult } from "./scale.ts";

const phase = (objects: number, change: Partial<Phase> = {}): Phase => ({
  objects,
  seconds: objects / 100,
  each: [1, 2],
  writes: { operator: objects * 6, scheduler: objects * 2 },
  cpuSeconds: { operator: 3 },
  ...change,
});

const leaderChange = (count: number, change: Partial<Phase> = {}) =>
  ({ ...phase(count / 10, change), how: count === 1_000 ? "Asked" : "Killed" }) as const;

const play = (contender: string, count: number, change: Partial<Seen> = {}): Seen => ({
  contender,
  count,
  creation: phase(count),
  recovery: phase(count / 10),
  leaderChange: contender === "trainingrun" ? leaderChange(count) : null,
  peakRssMiB: { operator: 200, "second operator": 150 },
  extraPods: 0,
  ...change,
});

const good = [
  ...["trainingrun", "job", "jobset"].flatMap((name) => [play(name, 1_000), play(name, 5_000)]),
  play("trainjob", 1_000),
];
const with_ = (contender: string, count: number, change: Partial<Seen>) =>
  good.map((each) => (each.contender === contender && each.count === count ? { ...each, ...change } : each));

describe("the scale measure", () => {
  test("holds where the goals are met", () => {
    expect(holds(scaleResult(good))).toBe(true);
  });

  const broken: readonly [string, readonly Seen[]][] = [
    ["the tenth took 3.1 s", with_("trainingrun", 1_000, { recovery: phase(100, { seconds: 3.1 }) })],
    ["JobSet recovered sooner", with_("jobset", 1_000, { recovery: phase(100, { seconds: 0.9 }) })],
    ["TrainJob recovered sooner", with_("trainjob", 1_000, { recovery: phase(100, { seconds: 0.9 }) })],
    ["TrainJob was never measured", good.filter(({ contender }) => contender !== "trainjob")],
    ["Job was never measured", good.filter(({ contender }) => contender !== "job")],
    ["5,000 runs were never measured", good.filter(({ count }) => count === 1_000)],
    ["Jobs run before", with_("job", 5_000, { creation: phase(5_000, { seconds: 49 }) })],
    [
      "a run takes twice as long among 5,000",
      good.map((each) => (each.count === 5_000 ? { ...each, creation: phase(5_000, { seconds: 100 }) } : each)),
    ],
    [
      "a run takes 11 writes",
      with_("trainingrun", 5_000, { creation: phase(5_000, { writes: { operator: 55_000 } }) }),
    ],
    [
      "a replaced pod takes 15 writes",
      with_("trainingrun", 1_000, { recovery: phase(100, { writes: { operator: 1_500 } }) }),
    ],
    ["an operator held 600 MiB", with_("trainingrun", 5_000, { peakRssMiB: { operator: 600, "second operator": 1 } })],
    ["the memory was never read", with_("trainingrun", 5_000, { peakRssMiB: { operator: 200 } })],
    ["there was a pod too many", with_("trainingrun", 1_000, { extraPods: 1 })],
    ["the leader never changed", with_("trainingrun", 5_000, { leaderChange: null })],
    [
      "the leader was never killed",
      with_("trainingrun", 5_000, { leaderChange: { ...leaderChange(5_000), how: "Asked" } }),
    ],
    [
      "a leader that was asked to end left its runs alone for 2.1 s",
      with_("trainingrun", 1_000, { leaderChange: leaderChange(1_000, { seconds: 3.6 }) }),
    ],
    [
      "a leader that was killed left its runs alone for 17.1 s",
      with_("trainingrun", 5_000, { leaderChange: leaderChange(5_000, { seconds: 24.6 }) }),
    ],
  ];
  test.each(broken)("does not hold where %s", (_what, seen) => {
    expect(holds(scaleResult(seen))).toBe(false);
  });
});
