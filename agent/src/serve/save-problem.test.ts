import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { expect, test } from "vitest";
import { progressAt } from "../../test/sample.ts";
import { saveProblem } from "./save-problem.ts";

const reportWith = (saves: Partial<Progress["saves"]>) =>
  progressAt(41, { saves: { ...progressAt(41).saves, ...saves } });
const flight = (seconds: number, bytes = 10) => ({ step: 40, seconds, bytes });
const moving = (seconds: number, bytes = 10) => ({ ...flight(seconds, bytes), movedSeconds: seconds - 20 });

test.each<[string, Partial<Progress["saves"]>]>([
  ["none is going on", {}],
  ["it is short of two minutes, though the last took a moment", { inFlight: flight(119) }],
  ["it takes not yet five times as long as the last", { lastSeconds: 60, inFlight: flight(299) }],
  ["it is large, and the first", { committed: 0, lastSeconds: 0, inFlight: flight(999, 10e9) }],
  ["it takes far longer than the last, and moves", { inFlight: moving(599) }],
  ["a volume that is slow since it is throttled takes it all the same", { inFlight: moving(4_999, 10e9) }],
])("a save is no problem while %s", (_, saves) => {
  expect(saveProblem(reportWith(saves))).toBeNull();
});

test.each<[string, Partial<Progress["saves"]>, string]>([
  ["two minutes", { inFlight: flight(120) }, "nothing of it has moved for 120 s; the last one took 0.1 s."],
  ["five times the last", { lastSeconds: 61.23, inFlight: flight(400) }, "moved for 307 s; the last one took 61 s."],
  ["what the first would take", { committed: 0, lastSeconds: 0, inFlight: flight(1000, 10e9) }, "moved for 1000 s."],
  ["the slowest volume's time, and moves", { inFlight: moving(5_000, 10e9) }, "has not ended in 5000 s; the last"],
])("a save that is in flight for %s is stuck, in words that stay", (_, saves, words) => {
  const problem = saveProblem(reportWith(saves));
  expect(problem?.reason).toBe("SaveStuck");
  expect(problem?.message).toContain("The save of step 40 has not ended");
  expect(problem?.message).toContain(words);
  const { seconds = 0, bytes, movedSeconds } = saves.inFlight ?? {};
  const later = {
    ...saves,
    inFlight: movedSeconds === undefined ? flight(seconds + 500, bytes) : moving(seconds + 500, bytes),
  };
  expect(saveProblem(reportWith(later))).toEqual(problem);
});

test("a trainer that reports nothing has none", () => {
  expect(saveProblem(null)).toBeNull();
});
