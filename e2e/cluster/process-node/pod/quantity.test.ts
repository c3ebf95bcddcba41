import { expect, test } from "vitest";
import { parseQuantity } from "./quantity.ts";

test.each([
  ["1", 1],
  ["500m", 0.5],
  ["1.5", 1.5],
  ["2Gi", 2 ** 31],
  ["1e3", 1_000],
  ["3k", 3_000],
  ["0", 0],
])("%s is %d", (text, expected) => {
  expect(parseQuantity(text)).toBe(expected);
});

test.each(["", "Gi", "1 Gi", "1GiB", "one"])("%j is not a quantity", (text) => {
  expect(() => parseQuantity(text)).toThrow(`not a number with a unit: ${text}`);
});
