import { describe, expect, test } from "vitest";
import { recoveryResult } from "./recovery.ts";
import { holds } from "./result.ts";

const good = {
  ours: Array.from({ length: 12 }, () => 3),
  starts: [2, 2, 2, 2, 2, 2],
  theirs: [10],
  parts: [],
  way: "x",
};
const at = (index: number, value: number) => good.ours.with(index, value);

describe("the recovery measure", () => {
  test("holds where the goals are met", () => {
    expect(holds(recoveryResult(good))).toBe(true);
  });

  const broken: readonly [string, Partial<typeof good>][] = [
    ["there were nine evictions", { ours: good.ours.slice(0, 9) }],
    ["there were none", { ours: [] }],
    ["the median is 2.1 s above the Job's start", { ours: good.ours.map(() => 4.1) }],
    ["two recoveries took twice the median", { ours: at(4, 6).with(5, 6) }],
    ["the tenth took a second longer than the first", { ours: at(9, 4) }],
    ["one recovery was never measured", { ours: at(5, Number.NaN) }],
    ["no Job was started", { starts: [] }],
    ["a Job's start was never measured", { starts: [2, Number.NaN, 2] }],
    ["the Job was never evicted", { theirs: [] }],
  ];
  test.each(broken)("does not hold where %s", (_what, change) => {
    expect(holds(recoveryResult({ ...good, ...change }))).toBe(false);
  });
});
