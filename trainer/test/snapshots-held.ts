/**
 * Run by snapshots-held.test.ts, once per backend, for a process has only one: `node snapshots-held.ts BACKEND`. For every
 * optimizer it holds a snapshot, trains on, disposes of the optimizer, and says in a line of JSON what became of it.
 */
import type * as tfjs from "@tensorflow/tfjs";
import type { Batch } from "../src/batches.ts";
import type { HeldTensor } from "../src/learner.ts";
import { Random, withMathRandom } from "../src/random.ts";
import { type BackendName, startBackend } from "../src/tensorflow/backend.ts";
import { LayersLearner } from "../src/tensorflow/layers-learner.ts";

type Tf = typeof tfjs;

const optimizers: [string, (tf: Tf) => tfjs.Optimizer][] = [
  ["SGD", (tf) => tf.train.sgd(0.05)],
  ["Momentum", (tf) => tf.train.momentum(0.02, 0.9)],
  ["Nesterov", (tf) => tf.train.momentum(0.02, 0.9, true)],
  ["Adagrad", (tf) => tf.train.adagrad(0.05)],
  ["Adadelta", (tf) => tf.train.adadelta(0.05)],
  ["RMSProp", (tf) => tf.train.rmsprop(0.005, 0.9, 0.5)],
  ["RMSProp, centered", (tf) => tf.train.rmsprop(0.005, 0.9, 0.5, -1e-6, true)],
  ["Adam", (tf) => tf.train.adam(0.01)],
  ["Adamax", (tf) => tf.train.adamax(0.01)],
];

const wanted = process.argv[2] as BackendName;
const backend = await startBackend({ device: "cpu", backend: wanted });
const { tf } = backend;
for (const [optimizer, make] of optimizers) console.log(JSON.stringify({ optimizer, ...holdWhileTraining(make) }));

function holdWhileTraining(make: (tf: Tf) => tfjs.Optimizer) {
  const optimizer = make(tf);
  const learner = newLearner(optimizer);
  const random = new Random({ seed: 2, counter: 0 });
  const train = (steps: number) => {
    for (let step = 0; step < steps; step += 1) learner.step(batch(step), { step, random });
  };
  train(2);
  const before = tf.memory();
  const { weights, optimizerTensors } = learner.snapshot();
  const held = [...weights, ...optimizerTensors];
  // Copied on the spot, as a save without references would do it.
  const then = held.map((tensor) => tensor.read().slice());
  const holding = tf.memory();
  train(3);
  const later = learner.snapshot();
  const changed = later.weights.some((tensor, at) => !equal(tensor.read(), then[at]));
  for (const tensor of [...later.weights, ...later.optimizerTensors]) tensor.release();
  const after = tf.memory();
  // What a model goes through when it is thrown away: nothing of it may take a held value along.
  optimizer.dispose();
  const kept = held.every((tensor, at) => equal(tensor.read(), then[at]));
  const copied = held.every((tensor, at) => equal(inParts(tensor), then[at]));
  const disposed = tf.memory();
  for (const tensor of [...held, ...held]) tensor.release();
  return {
    tensors: held.length,
    changed,
    kept,
    copied,
    copiesWhileHolding: holding.numDataBuffers - before.numDataBuffers,
    // Training replaced every value that is held and may be trained, so all of those live twice until they are released.
    buffersHeld: after.numDataBuffers - before.numDataBuffers > 0,
    buffersReleased: tf.memory().numDataBuffers < disposed.numDataBuffers,
    tensorsLeft: tf.memory().numTensors - disposed.numTensors + held.length,
  };
}

/** In parts of odd sizes, one of which ends the tensor. */
function inParts(tensor: HeldTensor): Uint8Array {
  const bytes = new Uint8Array(tensor.bytes);
  const part = tensor.bytes > 400 ? 4 * 33 : Math.max(4, tensor.bytes);
  for (let from = 0; from < tensor.bytes; from += part) {
    tensor.copyTo(bytes.subarray(from, Math.min(tensor.bytes, from + part)), from);
  }
  return bytes;
}

function equal(a: Uint8Array, b: Uint8Array | undefined): boolean {
  return b !== undefined && Buffer.compare(a, b) === 0;
}

function newLearner(optimizer: tfjs.Optimizer): LayersLearner<"x" | "y"> {
  const model = withMathRandom(new Random({ seed: 1, counter: 0 }), () =>
    tf.sequential({
      layers: [
        tf.layers.dense({ inputShape: [20], units: 30, activation: "tanh", name: "hidden" }),
        tf.layers.batchNormalization({ name: "norm" }),
        tf.layers.dense({ units: 1, name: "out" }),
      ],
    }),
  );
  return new LayersLearner(backend, {
    model,
    optimizer,
    loss: (network, { x, y }) =>
      tf.losses.meanSquaredError(
        y,
        tf.reshape(network.apply(x, { training: true }) as tfjs.Tensor, [-1]),
      ) as tfjs.Scalar,
    learningRate: undefined,
  });
}

function batch(step: number): Batch<"x" | "y"> {
  const random = new Random({ seed: 3, counter: step * 1000 });
  return {
    x: { values: Float32Array.from({ length: 8 * 20 }, () => random.next()), shape: [8, 20] },
    y: { values: Float32Array.from({ length: 8 }, () => random.next()), shape: [8] },
  };
}
