import { readSettings } from "../settings.ts";

const { text, wholeNumber } = readSettings("LINEAR", {
  steps: "500",
  "step-ms": "0",
  seed: "7",
  weights: "8",
  checkpoints: "checkpoints",
});

/** What can be chosen for this script. */
export const settings = {
  steps: wholeNumber("steps"),
  /** Each step takes at least this long, so that there is time to interrupt a demonstration. */
  stepMilliseconds: wholeNumber("step-ms"),
  seed: wholeNumber("seed"),
  /** Size of the model: a checkpoint holds this number of floats twice. */
  weights: wholeNumber("weights"),
  checkpoints: text("checkpoints"),
} as const;
