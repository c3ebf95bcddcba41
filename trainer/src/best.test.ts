import { describe, expect, test } from "vitest";
import { type BestPolicy, type BestState, recordEvaluation, shouldStopEarly } from "./best.ts";

const least: BestPolicy = { metric: "loss", mode: "Min", patience: 2 };
const most: BestPolicy = { metric: "accuracy", mode: "Max" };
const state: BestState = { metric: "loss", mode: "Min", value: 0.5, step: 10, evaluationsSince: 1 };
const accuracy: BestState = { metric: "accuracy", mode: "Max", value: 0.5, step: 10, evaluationsSince: 9 };

describe("the best value", () => {
  test.each<[string, BestPolicy, BestState | null, Record<string, number>, BestState | null]>([
    ["is the first", least, null, { loss: 0.7 }, { ...state, value: 0.7, step: 20, evaluationsSince: 0 }],
    [
      "gives way to a smaller one",
      least,
      state,
      { loss: 0.4 },
      { ...state, value: 0.4, step: 20, evaluationsSince: 0 },
    ],
    ["stays before an equal one", least, state, { loss: 0.5 }, { ...state, evaluationsSince: 2 }],
    ["stays before a larger one", least, state, { loss: 0.6 }, { ...state, evaluationsSince: 2 }],
    [
      "gives way to a larger one where more is better",
      most,
      accuracy,
      { accuracy: 0.6 },
      { ...accuracy, value: 0.6, step: 20, evaluationsSince: 0 },
    ],
    ["stays before NaN", least, state, { loss: Number.NaN }, { ...state, evaluationsSince: 2 }],
    ["stays where the metric is missing", least, state, { accuracy: 1 }, { ...state, evaluationsSince: 2 }],
    [
      "starts over with another metric",
      least,
      accuracy,
      { loss: 0.7 },
      { ...state, value: 0.7, step: 20, evaluationsSince: 0 },
    ],
    [
      "starts over the other way round",
      { ...least, mode: "Max" },
      state,
      { loss: 0.1 },
      { ...state, mode: "Max", value: 0.1, step: 20, evaluationsSince: 0 },
    ],
    ["is none of another metric", least, accuracy, { accuracy: 0.4 }, null],
    ["is never NaN", least, null, { loss: Number.NaN }, null],
  ])("%s", (_, policy, before, metrics, after) => {
    expect(recordEvaluation(policy, before, { step: 20, metrics })).toEqual(after);
  });
});

describe("stopping early", () => {
  test.each<[string, BestPolicy, BestState | null, boolean]>([
    ["happens when patience has run out", least, { ...state, evaluationsSince: 2 }, true],
    ["does not happen before", least, { ...state, evaluationsSince: 1 }, false],
    ["does not happen without an evaluation", least, null, false],
    ["does not happen where no patience is set", most, { ...accuracy, evaluationsSince: 99 }, false],
    ["does not happen by another metric's evaluations", least, accuracy, false],
  ])("%s", (_, policy, now, expected) => {
    expect(shouldStopEarly(policy, now)).toBe(expected);
  });
});
