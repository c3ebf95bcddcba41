import { cpSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as tfjs from "@tensorflow/tfjs";
import { nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Batches, type Dataset } from "../src/batches.ts";
import { weightsDigest } from "../src/final-weights.ts";
import { IncompatibleError } from "../src/learner.ts";
import { loadState } from "../src/load-checkpoint.ts";
import { Pacer } from "../src/pacer.ts";
import { ProgressFile } from "../src/progress-file.ts";
import { Random, withMathRandom } from "../src/random.ts";
import { Saver } from "../src/saver.ts";
import { writerThread } from "../src/saving/start-writer.ts";
import { type Backend, startBackend } from "../src/tensorflow/backend.ts";
import { LayersLearner } from "../src/tensorflow/layers-learner.ts";
import { TrainingLoop } from "../src/training-loop.ts";

/*
 * A run of 2k steps against k steps, a checkpoint on disk, a new model and optimizer that know nothing, and k more. The
 * model has all that could go astray: convolution, batch normalisation with its moving averages, and dropout.
 */

type Names = "image" | "label";
type Tf = typeof tfjs;
type MakeOptimizer = (tf: Tf) => tfjs.Optimizer;

const optimizers: [string, MakeOptimizer, { stateMatters: boolean }][] = [
  ["SGD", (tf) => tf.train.sgd(0.05), { stateMatters: false }],
  ["Momentum", (tf) => tf.train.momentum(0.02, 0.9), { stateMatters: true }],
  ["Nesterov", (tf) => tf.train.momentum(0.02, 0.9, true), { stateMatters: true }],
  ["Adagrad", (tf) => tf.train.adagrad(0.05), { stateMatters: true }],
  // TensorFlow.js divides by the sum from before the step, so that both sums stay equal and cancel out.
  ["Adadelta", (tf) => tf.train.adadelta(0.05), { stateMatters: false }],
  ["RMSProp", (tf) => tf.train.rmsprop(0.005, 0.9, 0.5), { stateMatters: true }],
  // TensorFlow.js subtracts this optimizer's epsilon under the root: a positive one makes NaN of every small gradient.
  ["RMSProp, centered", (tf) => tf.train.rmsprop(0.005, 0.9, 0.5, -1e-6, true), { stateMatters: true }],
  ["Adam", (tf) => tf.train.adam(0.01), { stateMatters: true }],
  ["Adamax with decay", (tf) => tf.train.adamax(0.01, 0.9, 0.999, 1e-7, 0.1), { stateMatters: true }],
];

const k = 4;
const runUid = "run";
const directories: string[] = [];
let backend: Backend;

beforeAll(async () => {
  backend = await startBackend({ device: "cpu", backend: "wasm" });
});

afterAll(() => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

describe("training goes on to the last bit with", () => {
  test.each(optimizers)("%s", async (_, makeOptimizer, { stateMatters }) => {
    const undisturbed = await attempt({ makeOptimizer, steps: 2 * k, seed: 1 });
    const first = await attempt({ makeOptimizer, steps: k, seed: 1 });
    // The second process builds its model from another seed: nothing of it may remain.
    const second = await attempt({ makeOptimizer, steps: 2 * k, seed: 99, directory: first.directory });
    expect(undisturbed.health.nonFinite).toEqual([]);
    expect(second.digest).toBe(undisturbed.digest);
    expect(second.files).toEqual(undisturbed.files);
    expect(second.state).toEqual(undisturbed.state);

    const forgetful = await attempt({
      makeOptimizer,
      steps: 2 * k,
      seed: 99,
      directory: first.directory,
      forget: "optimizer",
    });
    expect(forgetful.digest === undisturbed.digest).toBe(!stateMatters);
  });

  test.each(["random", "cursor"] as const)("and not without the %s", async (forget) => {
    const makeOptimizer: MakeOptimizer = (tf) => tf.train.adam(0.01);
    const undisturbed = await attempt({ makeOptimizer, steps: 2 * k, seed: 1 });
    const first = await attempt({ makeOptimizer, steps: k, seed: 1 });
    const second = await attempt({ makeOptimizer, steps: 2 * k, seed: 99, directory: first.directory, forget });
    expect(second.digest).not.toBe(undisturbed.digest);
  });
});

describe("a checkpoint is refused, both sides named, by", () => {
  const adam: MakeOptimizer = (tf) => tf.train.adam(0.01);

  test("another optimizer", async () => {
    const { directory } = await attempt({ makeOptimizer: adam, steps: 2, seed: 1 });
    const other = attempt({ makeOptimizer: (tf) => tf.train.sgd(0.1), steps: 4, seed: 1, directory });
    await expect(other).rejects.toEqual(
      new IncompatibleError(
        "Cannot resume because the optimizer must be the one of the checkpoint: Adam in the checkpoint, SGD in the script.",
      ),
    );
  });

  test.each([
    [
      "a layer of another size",
      { units: 4 },
      "2 of another shape (logits/kernel F32[50,3] in the checkpoint, F32[50,4] in the script, logits/bias F32[3] in",
    ],
    [
      "a layer of another name",
      { name: "head" },
      "2 missing in the checkpoint (head/kernel F32[50,3], head/bias F32[3]); 2 not in the script (logits/bias F32[",
    ],
  ])("a model with %s", async (_, change, seen) => {
    const { directory } = await attempt({ makeOptimizer: adam, steps: 2, seed: 1 });
    const other = attempt({ makeOptimizer: adam, steps: 4, seed: 1, directory, change });
    await expect(other).rejects.toThrow(
      `Cannot resume because the weights of the checkpoint must match the script's: ${seen}`,
    );
  });
});

test("a weight that has become NaN is named by the manifest, and one that was NaN before is not new", async () => {
  const makeOptimizer: MakeOptimizer = (tf) => tf.train.sgd(Number.NaN);
  const first = await attempt({ makeOptimizer, steps: 2, seed: 1 });
  expect(first.health.unexpected).toContain("logits/kernel");
  const second = await attempt({ makeOptimizer, steps: 4, seed: 1, directory: first.directory });
  expect(second.health).toMatchObject({ unexpectedTensors: 0 });
  expect(second.health.nonFinite).toContain("logits/kernel");
});

type Attempt = {
  makeOptimizer: MakeOptimizer;
  steps: number;
  seed: number;
  /** A volume to go on from; it is copied first. */
  directory?: string;
  /** Plants the mistake that the test must notice. */
  forget?: "optimizer" | "random" | "cursor";
  change?: { units?: number; name?: string };
};

/** One attempt, as a process of its own would run it, to its last step and a checkpoint. */
async function attempt({ makeOptimizer, steps, seed, directory: volume, forget, change }: Attempt) {
  const directory = mkdtempSync(join(tmpdir(), "resume-"));
  directories.push(directory);
  if (volume !== undefined) cpSync(volume, directory, { recursive: true });
  const { store, number, resume } = await open(directory);
  const learner = makeLearner(makeOptimizer, { seed, ...change });
  const data = new Batches(blobs(), { batchSize: 8, seed: 5 });
  const loaded = resume === null ? null : await loadState(resume);
  if (loaded !== null) {
    const kept = forget === "optimizer" ? freshOptimizer(learner) : loaded;
    learner.restore(loaded.weights, kept.optimizerTensors, kept.state.optimizer);
    if (forget !== "cursor") data.seek(loaded.state.cursor);
  }
  const pacer = new Pacer();
  const nonFiniteBefore = loaded?.manifest.health.nonFinite ?? [];
  const context = {
    store,
    writer: writerThread({ root: directory, runUid }),
    attempt: number,
    parent: resume?.digest ?? null,
    nonFiniteBefore,
    environment: {},
    pacer,
  };
  const saver = new Saver(context, resume);
  const place = {
    kind: "local",
    runUid,
    checkpoints: directory,
    interval: { steps: 1_000_000 },
    graceSeconds: 1,
  } as const;
  const random = { seed: 3, counter: 0 };
  const start =
    loaded === null ? { seed: 3 } : { state: forget === "random" ? { ...loaded.state, random } : loaded.state };
  const loop = new TrainingLoop(
    {
      learner,
      data,
      steps,
      every: undefined,
      best: undefined,
      minStepMilliseconds: 0,
      interval: place.interval,
      saver,
      pacer,
      progress: new ProgressFile(place),
      events: undefined,
      signal: new AbortController().signal,
      onStep: undefined,
    },
    start,
  );
  await loop.run();
  pacer.release();
  await saver.begin(loop.saveRequest()).done;
  await saver.close();
  const saved = await loadState({ step: steps, digest: saver.last?.digest ?? "", directory: newest(directory) });
  const { trainedSeconds: _, attempts: __, ...state } = saved.state;
  const files = saved.manifest.files.filter(({ kind }) => kind === "tensors").map(({ path, digest }) => [path, digest]);
  return { directory, digest: weightsDigest(learner.snapshot().weights), state, files, health: saved.manifest.health };
}

async function open(directory: string) {
  const store = await openDirectoryStore(directory, { runUid });
  const number = ((await readLog(store)).state.opened?.attempt ?? 0) + 1;
  const expected = { ...nothingExpected, unhealthy: "Accept" as const };
  const request = { runUid, attempt: number, podUid: `pod-${number}`, node: "node", generation: 1 };
  const outcome = await restoreRun(store, { ...request, expected });
  if (outcome.kind === "failed") throw new Error(outcome.message);
  return { store, number, resume: outcome.restored.resume };
}

function makeLearner(
  makeOptimizer: MakeOptimizer,
  { seed, units = 3, name = "logits" }: { seed: number; units?: number; name?: string },
): LayersLearner<Names> {
  const { tf } = backend;
  const model = withMathRandom(new Random({ seed, counter: 0 }), () =>
    tf.sequential({
      layers: [
        tf.layers.conv2d({ inputShape: [7, 7, 1], filters: 2, kernelSize: 3, activation: "relu", name: "conv" }),
        tf.layers.batchNormalization({ name: "norm" }),
        tf.layers.flatten({ name: "flat" }),
        tf.layers.dropout({ rate: 0.3, name: "dropout" }),
        tf.layers.dense({ units, name }),
      ],
    }),
  );
  return new LayersLearner<Names>(backend, {
    model,
    optimizer: makeOptimizer(tf),
    loss: (network, { image, label }) => {
      const logits = network.apply(image, { training: true }) as tfjs.Tensor;
      return tf.losses.softmaxCrossEntropy(tf.oneHot(tf.cast(label, "int32"), units), logits);
    },
    learningRate: undefined,
  });
}

/** What a resume would have that restored the weights and forgot the optimizer. */
function freshOptimizer(learner: LayersLearner<Names>) {
  const { optimizerTensors, optimizer } = learner.snapshot();
  const tensors = optimizerTensors.map(
    ({ name, dtype, shape, read }) => [name, { dtype, shape, bytes: read() }] as const,
  );
  return { optimizerTensors: new Map(tensors), state: { optimizer } };
}

/** Noise in three brightnesses: enough to learn from, and no two rows alike. */
function blobs(): Dataset<Names> {
  const random = new Random({ seed: 8, counter: 0 });
  const size = 30;
  const label = Float32Array.from({ length: size }, () => random.below(3));
  const image = Float32Array.from({ length: size * 49 }, (_, at) => random.next() + (label[Math.floor(at / 49)] ?? 0));
  return { size, columns: { image: { values: image, shape: [7, 7, 1] }, label: { values: label, shape: [] } } };
}

function newest(directory: string): string {
  const names = readdirSync(join(directory, "data")).filter((name) => name.startsWith("step-"));
  return join(directory, "data", names.toSorted().at(-1) ?? "");
}
