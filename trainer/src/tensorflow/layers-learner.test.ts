import type * as tfjs from "@tensorflow/tfjs";
import { beforeAll, expect, test } from "vitest";
import { type Backend, startBackend } from "./backend.ts";
import { LayersLearner } from "./layers-learner.ts";

type Tf = typeof tfjs;

let backend: Backend;

beforeAll(async () => {
  backend = await startBackend({ device: "cpu", backend: "javascript" });
});

const memory = (tf: Tf, stateful: boolean) =>
  tf.layers.lstm({ units: 2, stateful, batchInputShape: [4, 3, 2], name: "memory" }) as tfjs.RNN;

/** A model whose only recurrent layer stands at some depth. */
const shapes: [string, (tf: Tf, stateful: boolean) => tfjs.layers.Layer][] = [
  ["among its layers", memory],
  ["in a model among its layers", (tf, stateful) => tf.sequential({ name: "inner", layers: [memory(tf, stateful)] })],
  [
    "in a bidirectional one",
    (tf, stateful) =>
      tf.layers.bidirectional({
        layer: memory(tf, stateful),
        mergeMode: "sum",
        batchInputShape: [4, 3, 2],
        name: "both",
      }),
  ],
  [
    "in one that is applied to each time step",
    (tf, stateful) =>
      tf.layers.timeDistributed({ layer: memory(tf, stateful), batchInputShape: [4, 5, 3, 2], name: "each" }),
  ],
];

function learnerWith(layer: (tf: Tf) => tfjs.layers.Layer) {
  const { tf } = backend;
  const model = tf.sequential({ layers: [layer(tf)] });
  const loss = () => tf.scalar(0);
  return new LayersLearner<"x">(backend, { model, optimizer: tf.train.sgd(0.1), loss, learningRate: undefined });
}

test.each(shapes)("a model that has a stateful layer %s is refused, and the layer named", (_, layer) => {
  expect(() => learnerWith((tf) => layer(tf, true))).toThrow(
    /^Cannot train the model because a resume restores its weights and nothing else: the layer (forward_)?memory is stateful/,
  );
});

test.each(shapes)("a model that has a recurrent layer without state %s can be trained", (_, layer) => {
  expect(learnerWith((tf) => layer(tf, false)).snapshot().weights).not.toEqual([]);
});
