import type * as tfjs from "@tensorflow/tfjs";
import { readSettings } from "../settings.ts";

/** An optimizer and the learning rate that it begins with. */
type OptimizerChoice = {
  readonly rate: number;
  readonly make: (tf: typeof tfjs, rate: number) => tfjs.Optimizer;
};

const optimizers: Readonly<Record<string, OptimizerChoice>> = {
  sgd: { rate: 0.2, make: (tf, rate) => tf.train.sgd(rate) },
  momentum: { rate: 0.04, make: (tf, rate) => tf.train.momentum(rate, 0.9) },
  nesterov: { rate: 0.04, make: (tf, rate) => tf.train.momentum(rate, 0.9, true) },
  adagrad: { rate: 0.05, make: (tf, rate) => tf.train.adagrad(rate) },
  adadelta: { rate: 0.2, make: (tf, rate) => tf.train.adadelta(rate) },
  rmsprop: { rate: 0.002, make: (tf, rate) => tf.train.rmsprop(rate) },
  adam: { rate: 0.005, make: (tf, rate) => tf.train.adam(rate) },
  adamax: { rate: 0.01, make: (tf, rate) => tf.train.adamax(rate) },
};

const { text, wholeNumber, oneOf, entryOf } = readSettings("MNIST", {
  steps: "1200",
  batch: "64",
  optimizer: "adam",
  seed: "7",
  "evaluate-every": "200",
  "step-ms": "0",
  device: "auto",
  backend: "auto",
  checkpoints: "checkpoints",
});
const backend = oneOf("backend", ["auto", "tensorflow", "wasm", "javascript"]);

/** What can be chosen for this script. */
export const settings = {
  steps: wholeNumber("steps"),
  batch: wholeNumber("batch"),
  seed: wholeNumber("seed"),
  evaluateEvery: wholeNumber("evaluate-every"),
  /** Each step takes at least this long, so that there is time to interrupt a demonstration. */
  stepMilliseconds: wholeNumber("step-ms"),
  optimizer: entryOf("optimizer", optimizers),
  device: oneOf("device", ["auto", "cpu", "gpu"]),
  backend: backend === "auto" ? undefined : backend,
  checkpoints: text("checkpoints"),
} as const;
