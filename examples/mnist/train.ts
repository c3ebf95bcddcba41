/**
 * A small convolutional network that reads handwritten digits: 97 of 100 and more after 1,200 steps.
 *
 *   node examples/mnist/train.ts [--steps 1200] [--batch 64] [--optimizer adam] [--seed 7] [--step-ms 0] ...
 *
 * Ctrl-C stops it with a checkpoint in ./checkpoints; the same command goes on from there. In a TrainingRun's pod the
 * same script is restored and saved as the TrainingRun says.
 */

// First, so that a SIGTERM is heard while everything else is still being loaded.
import "@trainingrun/trainer/stop.ts";

import type * as tfjs from "@tensorflow/tfjs";
import { batches, rowsOf } from "@trainingrun/trainer/batches.ts";
import { tensorsOf } from "@trainingrun/trainer/tensorflow/tensors-of.ts";
import { type EvaluationContext, train } from "@trainingrun/trainer/train.ts";
import { type Digits, loadDigits } from "./digits.ts";
import { settings } from "./settings.ts";

const digits = loadDigits();

const result = await train({
  model: buildModel,
  optimizer: (tf) => settings.optimizer.make(tf, settings.optimizer.rate),
  // A function of the step alone: a resume needs nothing else to go on with it.
  learningRate: (step) => settings.optimizer.rate * (1 - step / settings.steps),
  loss: (model, { images, labels }, tf) =>
    tf.losses.softmaxCrossEntropy(labels, model.apply(images, { training: true }) as tfjs.Tensor),
  data: batches(digits.train, { batchSize: settings.batch, seed: settings.seed }),
  steps: settings.steps,
  seed: settings.seed,
  every: { steps: settings.evaluateEvery, run: (model, context) => testAccuracy(model, digits.test, context) },
  best: { metric: "accuracy", mode: "Max" },
  device: settings.device,
  backend: settings.backend,
  minStepMilliseconds: settings.stepMilliseconds,
  local: { directory: settings.checkpoints },
  onStep: (step, metrics) => {
    if (step % 50 !== 0) return;
    console.log(`step ${step}  loss ${metrics.loss?.toFixed(4)}  accuracy ${metrics.accuracy?.toFixed(4) ?? "-"}`);
  },
});

console.log(`test accuracy ${((result.metrics.accuracy ?? 0) * 100).toFixed(2)} %`);
console.log(`weights ${result.weights}`);

function buildModel(tf: typeof tfjs): tfjs.LayersModel {
  return tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [28, 28, 1], filters: 8, kernelSize: 5, activation: "relu", name: "conv1" }),
      tf.layers.maxPooling2d({ poolSize: 2, name: "pool1" }),
      tf.layers.conv2d({ filters: 16, kernelSize: 3, activation: "relu", name: "conv2" }),
      tf.layers.maxPooling2d({ poolSize: 2, name: "pool2" }),
      tf.layers.flatten({ name: "flatten" }),
      tf.layers.dropout({ rate: 0.2, name: "dropout" }),
      tf.layers.dense({ units: 10, name: "logits" }),
    ],
  });
}

async function testAccuracy(
  model: tfjs.LayersModel,
  test: Digits["test"],
  { tf, signal }: EvaluationContext,
): Promise<{ accuracy: number }> {
  let right = 0;
  for (let from = 0; from < test.size && !signal.aborted; from += 250) {
    right += tf.tidy(() => {
      const { images, labels } = tensorsOf(tf, rowsOf(test, from, from + 250));
      const predicted = (model.apply(images, { training: false }) as tfjs.Tensor).argMax(1);
      return tf.equal(predicted, labels.argMax(1)).sum().dataSync()[0] ?? 0;
    });
    // Signals are delivered between macrotasks only.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { accuracy: right / test.size };
}
