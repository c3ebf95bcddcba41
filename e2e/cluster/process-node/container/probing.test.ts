import { describe, expect, test } from "vitest";
import { Streaks } from "./probing.ts";

const probe = { periodSeconds: 1, successThreshold: 1, failureThreshold: 3 };
type Answer = readonly [atMs: number, isGood: boolean];

describe("what answers agree on", () => {
  test.each<[string, object, readonly Answer[], boolean | undefined]>([
    ["one good answer", {}, [[0, true]], true],
    [
      "fewer bad ones than count",
      {},
      [
        [0, false],
        [1_000, false],
      ],
      undefined,
    ],
    [
      "as many bad ones as count",
      {},
      [
        [0, false],
        [1_000, false],
        [2_000, false],
      ],
      false,
    ],
    [
      "bad ones within one period, which count as one",
      {},
      [
        [0, false],
        [100, false],
        [200, false],
        [300, false],
      ],
      undefined,
    ],
    [
      "bad ones with a good one between",
      {},
      [
        [0, false],
        [1_000, false],
        [2_000, true],
        [3_000, false],
      ],
      undefined,
    ],
    ["fewer good ones than count", { successThreshold: 2 }, [[0, true]], undefined],
    [
      "as many good ones as count",
      { successThreshold: 2 },
      [
        [0, true],
        [1_000, true],
      ],
      true,
    ],
  ])("%s", (_, more, answers, expected) => {
    const streaks = new Streaks({ ...probe, ...more });
    expect(answers.map(([atMs, isGood]) => streaks.add(isGood, atMs)).at(-1)).toBe(expected);
  });
});
