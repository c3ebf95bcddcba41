import type { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { expect, test } from "vitest";
import { graceLeftMs } from "./grace.ts";

function preemptedAfter(graceUsedSeconds: number): TrainerRecord {
  return { kind: "preempted", attempt: 1, step: 5, finalCheckpoint: "Saved", checkpoint: null, graceUsedSeconds };
}

test.each([
  ["a trainer that ended by itself leaves all but a margin", 30, null, 29_000],
  ["what a stopped trainer used is gone", 30, preemptedAfter(12.5), 16_500],
  ["a trainer that used everything leaves the least", 15, preemptedAfter(15), 3_000],
  ["a clock that went wrong leaves the least, not less", 15, preemptedAfter(9_999), 3_000],
  ["a short grace period leaves the least", 2, null, 3_000],
])("%s", (_what, graceSeconds, record, ms) => {
  expect(graceLeftMs(graceSeconds, record)).toBe(ms);
});
