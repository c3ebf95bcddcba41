import { expect, test } from "vitest";
import { matchesAny, matchesPattern } from "./name-pattern.ts";

test.each([
  ["head/kernel", "head/kernel", true],
  ["head/kernel", "head/bias", false],
  ["head/*", "head/kernel", true],
  ["head/*", "head/inner/kernel", true],
  ["head/*", "head", false],
  ["head/*", "overhead/kernel", false],
  ["*/bias", "conv/bias", true],
  ["*/bias", "conv/bias/m", false],
  ["*", "", true],
  ["*", "anything/at/all", true],
  ["**", "anything", true],
  ["block_?/kernel", "block_3/kernel", true],
  ["block_?/kernel", "block_12/kernel", false],
  ["?", "", false],
  ["a*b*c", "a-b-b-c", true],
  ["a*b*c", "a-c-b", false],
  ["head.*", "head.kernel", true],
  // No other character means anything but itself.
  ["head.*", "headXkernel", false],
  ["(a|b)+", "a", false],
  ["[ab]", "a", false],
  ["", "", true],
  ["", "a", false],
])("the pattern %j and the name %j: %s", (pattern, name, expected) => {
  expect(matchesPattern(pattern, name)).toBe(expected);
});

test("a pattern made to be slow is not", () => {
  expect(matchesPattern(`${"*a".repeat(100)}b`, "a".repeat(250))).toBe(false);
});

test("one of several patterns is enough", () => {
  expect(matchesAny(["conv/*", "head/*"], "head/bias")).toBe(true);
  expect(matchesAny([], "head/bias")).toBe(false);
});
