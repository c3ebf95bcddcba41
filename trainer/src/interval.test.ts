import { describe, expect, test } from "vitest";
import {
  chooseIntervalSeconds,
  describeInterval,
  type IntervalInput,
  lastSaveSecondsOf,
  saveIsDue,
  shortenedSeconds,
} from "./interval.ts";

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

const measured: IntervalInput = {
  meanSecondsBetweenInterruptions: 3600,
  stallSeconds: 0.5,
  saveSeconds: 2,
  lastSaveSeconds: 5,
  graceSeconds: 30,
};
/** A grace period that the last save has no room in. */
const tooShort: IntervalInput = { ...measured, saveSeconds: 50, lastSaveSeconds: 40 };

describe("a save is due", () => {
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

  test.each([{ steps: 1000 }, { seconds: 600 }, { auto: { maxSeconds: 600 } }])(
    "sooner than by %o where the last one would not fit into the grace period",
    (interval) => {
      const mean = { meanSecondsBetweenInterruptions: 360_000 };
      const after = (secondsSinceSave: number) =>
        saveIsDue(interval, { step: 1, secondsSinceSave, ...tooShort, ...mean });
      expect([after(99), after(100)]).toEqual([false, true]);
    },
  );
});

test.each([
  ["nothing where the last save fits", measured, null],
  ["nothing where nothing was measured", { ...tooShort, lastSaveSeconds: null }, null],
  ["twice what a save takes, so that training has half of the time to itself", tooShort, 100],
  ["a grace period, where saves take less", { ...tooShort, saveSeconds: 12 }, 30],
])("a grace period bounds the interval by %s", (_, input, expected) => {
  expect(shortenedSeconds(input)).toBe(expected);
});

test.each([
  ["without a measured save", { bytes: 0, bytesPerSecond: null, uploadBytesPerSecond: null }, null],
  ["by its bytes and what it takes besides", { bytes: 1000, bytesPerSecond: 100, uploadBytesPerSecond: null }, 10.8],
  ["with the upload that has to follow", { bytes: 1000, bytesPerSecond: 100, uploadBytesPerSecond: 50 }, 32.3],
])("what the last save takes is known %s", (_, given, expected) => {
  expect(lastSaveSecondsOf(given)).toEqual(expected === null ? null : expect.closeTo(expected, 6));
});

describe("what is told of the interval", () => {
  const steps = { steps: 500 };
  const auto = { auto: { maxSeconds: 600 } };
  test.each([
    ["as it was set", { seconds: 300 }, measured, 300, "As checkpoint.interval says."],
    ["in steps", steps, measured, 125, "Every 500 steps, as checkpoint.interval says, at 4 steps a second."],
    [
      "as it was chosen",
      auto,
      measured,
      60,
      "Chosen for an interruption every 3600 s and saves that hold training up for 0.5 s each.",
    ],
    [
      "as it was chosen before anything was measured",
      auto,
      { ...measured, meanSecondsBetweenInterruptions: 1000, stallSeconds: null, saveSeconds: null },
      10,
      "Chosen for an interruption every 1000 s and saves that presumably hold training up for 0.05 s each.",
    ],
    [
      "as it is bounded",
      auto,
      { ...measured, meanSecondsBetweenInterruptions: 1e6 },
      600,
      "Chosen for an interruption every 1000000 s and saves that hold training up for 0.5 s each, but no longer than maxDuration.",
    ],
    [
      "as the grace period shortens it",
      steps,
      tooShort,
      100,
      "Shortened instead of every 130 s: the last save takes about 40 s and the grace period is 30 s, so an interruption takes what came after the last commit.",
    ],
    ["as it was set, where that is shorter still", { seconds: 20 }, tooShort, 20, "As checkpoint.interval says."],
  ])("is %s", (_, interval, input, seconds, why) => {
    expect(describeInterval(interval, { ...input, stepsPerSecond: 4 })).toEqual({ seconds, why });
  });

  test("is nothing before a step was done, where steps decide, but for a grace period that is too short", () => {
    expect(describeInterval(steps, { ...measured, stepsPerSecond: 0 })).toBeNull();
    expect(describeInterval(steps, { ...tooShort, stepsPerSecond: 0 })?.why).toMatch(/^Shortened: the last save/);
  });
});
