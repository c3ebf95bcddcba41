import { describe, expect, test } from "vitest";
import { brokenResult, holds, lineOf, median, quantile } from "./result.ts";

describe("a measurement's result", () => {
  const table: readonly [string, readonly boolean[], boolean][] = [
    ["all goals are met", [true, true], true],
    ["one goal is not", [true, false], false],
    ["there is no goal", [], false],
  ];
  test.each(table)("where %s", (_what, met, expected) => {
    const goals = Object.fromEntries(met.map((met, index) => [`goal${index}`, { goal: "to be met", met }]));
    expect(holds({ name: "x", figures: {}, goals })).toBe(expected);
  });

  test("is one line of JSON with its verdict, also where it never came to its end", () => {
    const line = lineOf(brokenResult("recovery", new Error("stopped by SIGINT")));
    expect(line).not.toContain("\n");
    expect(JSON.parse(line)).toMatchObject({
      name: "recovery",
      holds: false,
      figures: { error: "stopped by SIGINT" },
      machine: expect.any(String),
      commit: expect.any(String),
    });
  });
});

describe("quantiles", () => {
  const table: readonly [readonly number[], number, number][] = [
    [[1], 0.95, 1],
    [[3, 1, 2], 0.5, 2],
    [[4, 1, 2, 3], 0.5, 2.5],
    [[1, 2, 3, 4, 5], 0.95, 4.8],
    [[], 0.5, Number.NaN],
    [[1, Number.NaN, 2], 0.5, Number.NaN],
  ];
  test.each(table)("of %j at %f", (values, q, expected) => {
    expect(Math.round(quantile(values, q) * 1000) / 1000).toEqual(expected);
  });

  test("the median is the one at a half", () => {
    expect(median([5, 1, 3])).toBe(3);
  });
});
