import type * as tfjs from "@tensorflow/tfjs";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { Batch } from "../batches.ts";
import { configDigest } from "../config-digest.ts";
import {
  type FreshTensor,
  type Learner,
  type LoadedTensors,
  type OptimizerState,
  requireSameTensors,
  type Snapshot,
} from "../learner.ts";
import { type Random, withMathRandom } from "../random.ts";
import type { Backend, TensorFlow } from "./backend.ts";
import { holdTensor, savedDtype, toTensor } from "./held-tensor.ts";
import { type NamedVariable, OptimizerSlots } from "./optimizer-slots.ts";
import { type TensorBatch, tensorsOf } from "./tensors-of.ts";

/** The mean loss of a batch. It must be computed in one go, without waiting for anything. */
export type Loss<Name extends string> = (
  model: tfjs.LayersModel,
  batch: TensorBatch<Name>,
  tf: TensorFlow,
) => tfjs.Scalar;

type Parts<Name extends string> = {
  readonly model: tfjs.LayersModel;
  readonly optimizer: tfjs.Optimizer;
  readonly loss: Loss<Name>;
  readonly learningRate: ((step: number) => number) | undefined;
};

/** Learning with a layers model and one of TensorFlow.js' optimizers. */
export class LayersLearner<Name extends string> implements Learner<Batch<Name>> {
  readonly backend: string;
  readonly environment: Readonly<Record<string, string | number>>;
  readonly config: Digest;
  readonly #tf: TensorFlow;
  readonly #parts: Parts<Name>;
  readonly #weights: readonly NamedVariable[];
  readonly #trainable: readonly NamedVariable[];
  readonly #slots: OptimizerSlots;

  /** @throws {TypeError} for a model that a checkpoint of its weights could not bring back. */
  constructor(backend: Backend, parts: Parts<Name>) {
    requireStateless(parts.model.layers);
    this.#tf = backend.tf;
    this.#parts = parts;
    this.backend = backend.name;
    this.environment = backend.environment;
    this.#weights = namedVariables(parts.model.weights);
    const trainable = new Set(parts.model.trainableWeights.map((weight) => weight.read() as tfjs.Variable));
    this.#trainable = this.#weights.filter(({ variable }) => trainable.has(variable));
    this.#slots = new OptimizerSlots(backend.tf, parts.optimizer, this.#trainable);
    const { model, optimizer } = parts;
    this.config = configDigest({
      model: model.toJSON(null, false),
      optimizer: { kind: optimizer.getClassName(), ...optimizer.getConfig() },
    });
  }

  step(batch: Batch<Name>, { step, random }: { step: number; random: Random }): number {
    const { model, optimizer, loss, learningRate } = this.#parts;
    if (learningRate !== undefined) setLearningRate(optimizer, learningRate(step));
    const tensors = tensorsOf(this.#tf, batch);
    try {
      return withMathRandom(random, () => {
        const variables = this.#trainable.map(({ variable }) => variable);
        const value = optimizer.minimize(() => loss(model, tensors, this.#tf), true, variables);
        const number = value?.dataSync()[0] ?? Number.NaN;
        value?.dispose();
        return number;
      });
    } finally {
      this.#tf.dispose(tensors);
    }
  }

  snapshot(): Snapshot {
    return {
      weights: this.#weights.map(({ name, variable }) => holdTensor(this.#tf, name, variable)),
      optimizerTensors: this.#slots.hold(),
      optimizer: this.#slots.state,
    };
  }

  restore(weights: LoadedTensors, optimizerTensors: LoadedTensors, optimizer: OptimizerState): void {
    const expected = this.#weights.map(
      ({ name, variable: { dtype, shape } }) => [name, { dtype: savedDtype(name, dtype), shape }] as const,
    );
    requireSameTensors("weights", new Map(expected), weights);
    this.#slots.check(optimizerTensors, optimizer);
    for (const { name, variable } of this.#weights) {
      const loaded = weights.get(name);
      if (loaded === undefined) continue;
      const value = toTensor(this.#tf, loaded);
      variable.assign(value);
      value.dispose();
    }
    this.#slots.restore(optimizerTensors, optimizer);
  }

  freshOptimizerTensors(optimizer: OptimizerState): readonly FreshTensor[] {
    return this.#slots.fresh(optimizer);
  }
}

/** Weights under the names that their layers gave them: those are the same in the next process, unlike running numbers. */
function namedVariables(weights: tfjs.LayerVariable[]): NamedVariable[] {
  const named = weights.map((weight) => ({ name: weight.originalName, variable: weight.read() as tfjs.Variable }));
  const seen = new Set<string>();
  for (const { name } of named) {
    if (seen.has(name)) {
      throw new TypeError(
        `Cannot train the model because every weight needs a name of its own to be found again: ${name} occurs twice. ` +
          "Give the layers names.",
      );
    }
    seen.add(name);
  }
  return named;
}

/** What a stateful layer carries from batch to batch is no weight, so no checkpoint holds it: a resume would differ. */
function requireStateless(layers: readonly tfjs.layers.Layer[]): void {
  const name = layers.map(nameOfStateful).find((found) => found !== null);
  if (name === undefined) return;
  throw new TypeError(
    "Cannot train the model because a resume restores its weights and nothing else: the layer " +
      `${name} is stateful, it carries its state from one batch to the next. Leave stateful: true away, or have each ` +
      "row of a batch hold a whole sequence.",
  );
}

/** The innermost one, for a model, a wrapper or a bidirectional layer is stateful by what is in it. */
function nameOfStateful(layer: tfjs.layers.Layer): string | null {
  const { layers = [], layer: wrapped, forwardLayer, backwardLayer } = layer as LayerWithLayers;
  for (const inner of [...layers, wrapped, forwardLayer, backwardLayer]) {
    const name = inner === undefined ? null : nameOfStateful(inner);
    if (name !== null) return name;
  }
  return layer.stateful ? layer.name : null;
}

/** Where TensorFlow.js keeps the layers of a nested model, a wrapper and a bidirectional layer. */
type LayerWithLayers = tfjs.layers.Layer & {
  readonly layers?: readonly tfjs.layers.Layer[];
  readonly layer?: tfjs.layers.Layer;
  readonly forwardLayer?: tfjs.layers.Layer;
  readonly backwardLayer?: tfjs.layers.Layer;
};

function setLearningRate(optimizer: tfjs.Optimizer, rate: number): void {
  if ("setLearningRate" in optimizer) (optimizer as tfjs.SGDOptimizer).setLearningRate(rate);
  else (optimizer as unknown as { learningRate: number }).learningRate = rate;
}
