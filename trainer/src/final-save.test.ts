import { expect, test } from "vitest";
import { type FinalSaveInput, type FinalSavePlan, planFinalSave } from "./final-save.ts";

const megabyte = 2 ** 20;
/** At step 100, saved at 90, with 10 s left and a save that takes 1.3 s. */
const usual: FinalSaveInput = {
  step: 100,
  savedStep: 90,
  inFlight: null,
  bytes: 100 * megabyte,
  bytesPerSecond: 100 * megabyte,
  remainingSeconds: 10,
};
const inFlight = (step: number, remaining: number) => ({ step, remainingBytes: remaining * megabyte });

const unmeasured = { bytesPerSecond: null };

const cases: [string, Partial<FinalSaveInput>, FinalSavePlan["action"]][] = [
  ["a step that is saved already needs nothing", { savedStep: 100 }, "nothing to save"],
  ["nothing needs to be saved even with no time left", { savedStep: 100, remainingSeconds: 0 }, "nothing to save"],
  ["a save that fits is begun", {}, "save"],
  ["a save that just fits is begun", { remainingSeconds: 1.9 }, "save"],
  ["a save that does not fit is never begun", { remainingSeconds: 1.7 }, "give up"],
  ["a deadline that has passed leaves nothing to do", { remainingSeconds: -3 }, "give up"],
  ["where no save was measured a model of any size is tried", { ...unmeasured, bytes: 2 ** 42 }, "save"],
  [
    "where no save was measured and no time is left nothing is begun",
    { ...unmeasured, remainingSeconds: 0.5 },
    "give up",
  ],
  ["a first save of this very step is finished", { ...unmeasured, inFlight: inFlight(100, 4000) }, "finish in-flight"],
  [
    "an older first save is finished, and then the step saved if there is time",
    { ...unmeasured, inFlight: inFlight(95, 4000) },
    "finish in-flight, then save",
  ],
  ["a save of this very step is finished", { inFlight: inFlight(100, 50) }, "finish in-flight"],
  ["a save of this very step that cannot end is let go", { inFlight: inFlight(100, 2000) }, "give up"],
  [
    "an older save that is nearly through is finished first",
    { inFlight: inFlight(95, 10) },
    "finish in-flight, then save",
  ],
  [
    "where only the older one fits it is finished",
    { inFlight: inFlight(95, 10), remainingSeconds: 1.2 },
    "finish in-flight",
  ],
  [
    "where either fits alone and the older ends sooner, it is finished: a new one might not make it",
    { inFlight: inFlight(95, 50), remainingSeconds: 2 },
    "finish in-flight",
  ],
  [
    "where a new one ends sooner than the older, the older is abandoned",
    { inFlight: inFlight(95, 900), remainingSeconds: 10 },
    "abandon in-flight and save",
  ],
  ["where neither fits nothing is begun", { inFlight: inFlight(95, 900), remainingSeconds: 1 }, "give up"],
];

test.each(cases)("%s", (_, change, action) => {
  const plan = planFinalSave({ ...usual, ...change });
  expect(plan.action).toBe(action);
  expect(plan.why).not.toBe("");
});
