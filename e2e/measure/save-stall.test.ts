import { expect, test } from "vitest";
import { holds } from "./result.ts";
import { medianInterval, type StallTraining, saveStallResult } from "./save-stall.ts";

/** Steps of 10 ms, one in ten of those with a save 1 ms longer. */
const good: StallTraining = {
  backend: "wasm",
  stateBytes: 2 ** 20,
  intervalSteps: 100,
  rounds: Array.from({ length: 9 }, () => ({
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
    what: "one noisy round of nine decides nothing",
    change: { rounds: [...slow(10.5).slice(1), ...slow(14).slice(8)] },
    broken: [],
  },
  {
    what: "rounds that differ as much as this show nothing, whatever their median",
    change: { rounds: [...slow(7).slice(6), ...slow(10.5).slice(6), ...slow(14).slice(6)] },
    broken: ["precision"],
  },
  {
    what: "a machine that is slow for a while, far from any save, neither costs nor saves anything",
    change: {
      rounds: good.rounds.map(({ saving, plain }) => ({
        saving: saving.map((took, step) => (step < 10 ? 11.1 : took)),
        plain: plain.map((took, step) => (step < 50 ? took * 2 : took)),
      })),
    },
    broken: ["overhead"],
  },
  { what: "nor do too few of them", change: { rounds: good.rounds.slice(4) }, broken: ["precision"] },
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
      rounds: 9,
      overhead: 0.009,
      overheadFrom: 0.009,
      overheadTo: 0.009,
      intervalShareOfStall: 0.0089,
      p99Ratio: 1.09,
      intervalShareOfSave: 0.099,
      stallMsPerSave: { p50: 9, p99: 9 },
    },
  });
});

test.each([
  { count: 5, from: Number.NaN, to: Number.NaN },
  { count: 6, from: 1, to: 6 },
  { count: 8, from: 1, to: 8 },
  { count: 9, from: 2, to: 8 },
  { count: 20, from: 6, to: 15 },
  { count: 1000, from: 469, to: 532 },
])("the median of $count values lies between these, with 95 %", ({ count, from, to }) => {
  expect(medianInterval(Array.from({ length: count }, (_, index) => count - index))).toEqual([from, to]);
});

test("nothing measured shows nothing", () => {
  expect(holds(saveStallResult([]))).toBe(false);
});
