import { ReplayVerdict } from "@trainingrun/checkpoint/contract/resume.ts";
import { expect, test } from "vitest";
import { describeReplay, lossTolerance, ReplayCheck } from "./replay-check.ts";
import { bitsOf, type ReplayStep } from "./replay-step.ts";

/** A step by its number, its loss, and a letter for its weights. */
const step = (number: number, loss: number, weights = "a"): ReplayStep => ({
  step: number,
  loss: bitsOf(loss),
  weights: `sha256:${weights.repeat(64)}`,
});
const within = 1 + lossTolerance * 0.9;
const beyond = 1 + lossTolerance * 1.1;

test.each([
  ["nothing on record", [], [step(5, 1)], "NothingRecorded", undefined],
  ["nothing computed yet", [step(5, 1)], [], "Pending", undefined],
  ["the same bits", [step(5, 1), step(6, 2)], [step(5, 1), step(6, 2)], "BitExact", undefined],
  ["the same bits so far", [step(5, 1), step(6, 2)], [step(5, 1)], "BitExact", undefined],
  ["a loss of other bits within the tolerance", [step(5, 1)], [step(5, within)], "WithinTolerance", 5],
  ["a loss beyond the tolerance", [step(5, 1)], [step(5, beyond)], "Differs", 5],
  [
    "other weights, from which the next loss comes out nearly the same",
    [step(5, 1), step(6, 2)],
    [step(5, 1, "b"), step(6, 2, "b")],
    "WithinTolerance",
    5,
  ],
  [
    "other weights, and no loss yet that was computed from them",
    [step(5, 1), step(6, 2)],
    [step(5, 1, "b")],
    "Pending",
    5,
  ],
  ["other weights after the last step on record", [step(5, 1)], [step(5, 1, "b")], "Differs", 5],
  [
    "a difference that grows beyond the tolerance is dated by its first bit",
    [step(5, 1), step(6, 1)],
    [step(5, within), step(6, beyond)],
    "Differs",
    5,
  ],
  [
    "a difference that came and went stays one",
    [step(5, 1), step(6, 1), step(7, 1)],
    [step(5, 1), step(6, beyond), step(7, 1)],
    "Differs",
    6,
  ],
  ["no number, both times", [step(5, Number.NaN)], [step(5, -Number.NaN)], "BitExact", undefined],
  ["no number, once", [step(5, 1)], [step(5, Number.NaN)], "Differs", 5],
  ["infinity of another sign", [step(5, Infinity)], [step(5, -Infinity)], "Differs", 5],
  ["zero against next to nothing", [step(5, 0)], [step(5, 1e-300)], "Differs", 5],
] as const)("%s", (_, recorded, again, result, firstDifference) => {
  const check = new ReplayCheck({ asked: 9, recorded });
  for (const each of again) check.take(each);
  const { verdict } = check;
  expect(ReplayVerdict.parse(verdict)).toEqual(verdict);
  expect([verdict.result, verdict.firstDifference]).toEqual([result, firstDifference]);
  expect(verdict.compared).toBe(Math.min(recorded.length, again.length));
});

test("only the next step on record is wanted, and no other is taken for it", () => {
  const check = new ReplayCheck({ asked: 2, recorded: [step(5, 1), step(6, 2)] });
  expect([4, 5, 6].map((number) => check.wants(number))).toEqual([false, true, false]);
  check.take(step(6, 2));
  expect(check.verdict.compared).toBe(0);
});

test("a record that cannot be read is told from one that was never written, with the reason", () => {
  const { verdict } = new ReplayCheck({ asked: 3, recorded: [], unreadable: "EIO: i/o error, read" });
  expect(ReplayVerdict.parse(verdict)).toMatchObject({ result: "NothingRecorded", unreadable: "EIO: i/o error, read" });
  expect(describeReplay(verdict)).toBe(
    "the record of the 3 steps after the checkpoint cannot be read, so none can be compared: EIO: i/o error, read",
  );
});

test("a verdict is told in one line with its numbers", () => {
  const check = new ReplayCheck({ asked: 3, recorded: [step(5, 1), step(6, 2)] });
  check.take(step(5, 1.5));
  expect(describeReplay(check.verdict)).toBe(
    "differs at step 5: 1 of 2 recorded steps compared (3 asked for), other bits from step 5 on, losses apart by up to " +
      "0.333 of their size (tolerance 0.001)",
  );
});
