import { describe, expect, test } from "vitest";
import { chooseIntervalSeconds, saveIsDue } from "./interval.ts";

describe("the chosen interval", () => {
  test.each([
    ["follows Young's formula", { mean: 3600, stall: 0.5, save: 2, max: 600 }, 60],
    ["is never longer than maxSeconds", { mean: 360_000, stall: 5, save: 2, max: 600 }, 600],
    ["is never shorter than a save takes", { mean: 10, stall: 0.01, save: 8, max: 600 }, 8],
    ["obeys maxSeconds even where a save takes longer", { mean: 10, stall: 0.01, save: 800, max: 600 }, 600],
    ["assumes a small stall before the first save", { mean: 1000, stall: null, save: null, max: 600 }, 10],
  ])("%s", (_, { mean, stall, save, max }, expected) => {
    const input = { meanSecondsBetweenInterruptions: mean, stallSeconds: stall, saveSeconds: save };
    expect(chooseIntervalSeconds(max, input)).toBeCloseTo(expected, 6);
  });
});

describe("a save is due", () => {
  const measured = { meanSecondsBetweenInterruptions: 3600, stallSeconds: 0.5, saveSeconds: 2 };
  test.each([
    ["after every so many steps", { steps: 10 }, { step: 20, secondsSinceSave: 0 }, true],
    ["not between them", { steps: 10 }, { step: 21, secondsSinceSave: 900 }, false],
    ["after so many seconds", { seconds: 5 }, { step: 1, secondsSinceSave: 5 }, true],
    ["not before", { seconds: 5 }, { step: 1, secondsSinceSave: 4.9 }, false],
    ["after the chosen interval", { auto: { maxSeconds: 600 } }, { step: 1, secondsSinceSave: 60 }, true],
    ["not before the chosen interval", { auto: { maxSeconds: 600 } }, { step: 1, secondsSinceSave: 59 }, false],
  ])("%s", (_, interval, now, expected) => {
    expect(saveIsDue(interval, { ...now, ...measured })).toBe(expected);
  });
});
