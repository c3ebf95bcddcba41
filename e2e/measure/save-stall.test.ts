import { expect, test } from "vitest";
import { holds } from "./result.ts";
import { type StallTraining, saveStallResult } from "./save-stall.ts";

/** Steps of 10 ms, one in ten of those with a save 1 ms longer. */
const good: StallTraining = {
  backend: "wasm",
  stateBytes: 2 ** 20,
  intervalSteps: 100,
  rounds: Array.from({ length: 3 }, () => ({
    saving: Array.from({ length: 100 }, (_, step) => (step < 10 ? 10.9 : 10)),
    plain: Array.from({ length: 100 }, () => 10),
  })),
  saveSeconds: [0.1, 0.1, 0.1],
  overran: 0,
  stallSeconds: { p50: 0.009, p99: 0.009 },
  bytesPerSecond: 1e9,
  saves: { committed: 3, failed: 0, skipped: 0 },
  peakRssBytes: 2 ** 28,
};

const slow = (milliseconds: number) =>
  good.rounds.map(({ plain }) => ({
    saving: plain.map((took, step) => (step < 10 ? milliseconds : took)),
    plain,
  }));

test.each<{ what: string; change: Partial<StallTraining>; broken: string[] }>([
  { what: "steps that are hardly longer hold", change: {}, broken: [] },
  { what: "more than 1 % is too much", change: { rounds: slow(11.1) }, broken: ["overhead"] },
  { what: "so is a step of twice the time", change: { rounds: slow(20) }, broken: ["overhead", "p99Ratio"] },
  {
    what: "one noisy round of three decides nothing",
    change: { rounds: [...slow(10.5).slice(1), ...slow(14).slice(2)] },
    broken: [],
  },
  {
    what: "a save of a fifth of the interval shows nothing",
    change: { saveSeconds: [0.2] },
    broken: ["intervalShareOfSave"],
  },
  {
    what: "nor does one so rare that it hardly counts",
    change: { saveSeconds: [0.04] },
    broken: ["intervalShareOfSave"],
  },
  { what: "nor do saves that overrun it", change: { overran: 1 }, broken: ["intervalShareOfSave"] },
  {
    what: "saves that fail cost nothing, and are worth nothing",
    change: { saves: { committed: 2, failed: 1, skipped: 0 } },
    broken: ["failed"],
  },
])("$what", ({ change, broken }) => {
  const result = saveStallResult([
    ["small", good],
    ["large", { ...good, ...change }],
  ]);
  expect(
    Object.entries(result.goals)
      .filter(([, { met }]) => !met)
      .map(([name]) => name),
  ).toEqual(broken);
  expect(holds(result)).toBe(broken.length === 0);
});

test("the figures are ratios of steps with saves to steps without", () => {
  expect(saveStallResult([["small", good]]).figures).toMatchObject({
    small: {
      stepMs: 10,
      overhead: 0.009,
      intervalShareOfStall: 0.0089,
      p99Ratio: 1.09,
      intervalShareOfSave: 0.099,
      stallMsPerSave: { p50: 9, p99: 9 },
    },
  });
});

test("nothing measured shows nothing", () => {
  expect(holds(saveStallResult([]))).toBe(false);
});
