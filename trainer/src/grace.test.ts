import { expect, test } from "vitest";
import { type Deadline, deadlineOf, describeLeft } from "./grace.ts";

test("the kill is counted from the earliest instant at which the signal can have come, and from the latest", () => {
  expect(deadlineOf({ notBeforeMs: 4_000, requestedAtMs: 9_000 }, 30)).toEqual({ sureMs: 34_000, latestMs: 39_000 });
});

test.each<[string, Deadline, number, string]>([
  ["one number where the signal was heard at once", { sureMs: 30_000, latestMs: 30_050 }, 2_000, "28.0 s"],
  [
    "a range where a step held the thread",
    { sureMs: 30_000, latestMs: 42_000 },
    12_000,
    "18.0 to 30.0 s (a step held the thread when the signal came)",
  ],
  [
    "nothing for sure where the step took longer than the grace period",
    { sureMs: 5_000, latestMs: 40_000 },
    10_000,
    "0.0 to 30.0 s (a step held the thread when the signal came)",
  ],
])("what is left is said as %s", (_, deadline, nowMs, words) => {
  expect(describeLeft(deadline, nowMs)).toBe(words);
});
