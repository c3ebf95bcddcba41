import { expect, test } from "vitest";
import { fromMetrics, type MetricValues, requireMetrics, toMetrics } from "./metric-values.ts";

const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`m${index}`, index]));

test("metrics come back as they were, whatever their numbers", () => {
  const values = { loss: 1.5e-7, accuracy: 1, diverged: Number.NaN, bound: Number.NEGATIVE_INFINITY, large: 1e21 };
  requireMetrics(values);
  expect(fromMetrics(toMetrics(values))).toEqual(values);
});

const refused: [string, MetricValues][] = [
  ["more than 32", many(33)],
  ["a name that is too long", { ["x".repeat(64)]: 1 }],
  ["an empty name", { "": 1 }],
  ["what is no number", { accuracy: JSON.parse('"high"') }],
];

test.each(refused)("%s are refused when they come, because no checkpoint could hold them", (_, values) => {
  expect(() => requireMetrics(values)).toThrow(
    /^Cannot record these metrics because .*Let every\.run return others\.$/,
  );
});
