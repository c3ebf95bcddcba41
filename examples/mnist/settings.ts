import { parseArgs } from "node:util";
import type * as tfjs from "@tensorflow/tfjs";
import type { BackendName, Device } from "@trainingrun/trainer/tensorflow/backend.ts";

/** What can be chosen on the command line, or by environment variables in a pod's template. */
export type Settings = {
  readonly steps: number;
  readonly batch: number;
  readonly seed: number;
  readonly evaluateEvery: number;
  /** Each step takes at least this long, so that there is time to interrupt a demonstration. */
  readonly stepMilliseconds: number;
  readonly optimizer: OptimizerChoice;
  readonly device: Device;
  readonly backend: BackendName | undefined;
  readonly checkpoints: string;
};

/** An optimizer and the learning rate that it begins with. */
export type OptimizerChoice = {
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

/** Every setting: its option, its variable in a pod, and what it is where neither is given. */
const defaults = {
  steps: "1200",
  batch: "64",
  optimizer: "adam",
  seed: "7",
  "evaluate-every": "200",
  "step-ms": "0",
  device: "auto",
  backend: "",
  checkpoints: "checkpoints",
};
type Name = keyof typeof defaults;

/** Options win over variables: `--step-ms 50` over `MNIST_STEP_MS=20`. */
export function readSettings(args: readonly string[], environment: NodeJS.ProcessEnv): Settings {
  const names = Object.keys(defaults) as Name[];
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" as const }]));
  const { values } = parseArgs({ args: [...args], options });
  const text = (name: Name) => {
    const option = values[name];
    const variable = environment[`MNIST_${name.toUpperCase().replaceAll("-", "_")}`];
    return typeof option === "string" ? option : (variable ?? defaults[name]);
  };
  const optimizer = optimizers[text("optimizer")];
  if (optimizer === undefined) throw refuse("optimizer", text("optimizer"), Object.keys(optimizers));
  return {
    steps: wholeNumber("steps", text("steps")),
    batch: wholeNumber("batch", text("batch")),
    seed: wholeNumber("seed", text("seed")),
    evaluateEvery: wholeNumber("evaluate-every", text("evaluate-every")),
    stepMilliseconds: wholeNumber("step-ms", text("step-ms")),
    optimizer,
    device: oneOf("device", text("device"), ["auto", "cpu", "gpu"]),
    backend:
      text("backend") === ""
        ? undefined
        : oneOf<BackendName>("backend", text("backend"), ["tensorflow", "wasm", "javascript"]),
    checkpoints: text("checkpoints"),
  };
}

function wholeNumber(name: string, text: string): number {
  if (!/^\d+$/.test(text)) throw refuse(name, text, ["a whole number"]);
  return Number(text);
}

function oneOf<Choice extends string>(name: string, text: string, choices: readonly Choice[]): Choice {
  const choice = choices.find((candidate) => candidate === text);
  if (choice === undefined) throw refuse(name, text, choices);
  return choice;
}

function refuse(name: string, text: string, choices: readonly string[]): RangeError {
  return new RangeError(`Cannot train because ${name} must be ${choices.join(" or ")}: ${JSON.stringify(text)}.`);
}
