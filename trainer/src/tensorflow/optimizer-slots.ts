import type * as tfjs from "@tensorflow/tfjs";
import {
  type FreshTensor,
  type HeldTensor,
  IncompatibleError,
  type LoadedTensor,
  type LoadedTensors,
  type OptimizerState,
  requireSameTensors,
} from "../learner.ts";
import type { TensorFlow } from "./backend.ts";
import { holdTensor, savedDtype, toTensor } from "./held-tensor.ts";

/** What an optimizer keeps per weight (fields with a name of each) and once (fields that are variables). */
type Layout = {
  readonly slots: Readonly<Record<string, string>>;
  readonly scalars: readonly string[];
};

/**
 * The private state of every optimizer of TensorFlow.js 4.22, by class name. Their own `getWeights` and `setWeights`
 * lose some of it: Adam's computes the powers of its betas anew, which rounds differently from multiplying them up
 * step by step, and Adamax has neither.
 */
const layouts: Readonly<Record<string, Layout>> = {
  SGD: { slots: {}, scalars: [] },
  Momentum: { slots: { accumulations: "momentum" }, scalars: [] },
  Adagrad: { slots: { accumulatedGrads: "accumulator" }, scalars: [] },
  Adadelta: { slots: { accumulatedGrads: "accum_grad", accumulatedUpdates: "accum_var" }, scalars: [] },
  RMSProp: { slots: { accumulatedMeanSquares: "rms", accumulatedMoments: "momentum" }, scalars: [] },
  "RMSProp, centered": {
    slots: { accumulatedMeanSquares: "rms", accumulatedMoments: "momentum", accumulatedMeanGrads: "mg" },
    scalars: [],
  },
  Adam: { slots: { accumulatedFirstMoment: "m", accumulatedSecondMoment: "v" }, scalars: ["accBeta1", "accBeta2"] },
  Adamax: {
    slots: { accumulatedFirstMoment: "m", accumulatedWeightedInfNorm: "v" },
    scalars: ["iteration", "accBeta1"],
  },
};

type Slot = { originalName: string; variable: tfjs.Variable };
type Fields = Record<string, Slot[] | tfjs.Variable | number>;

/** A weight under the name it has in a checkpoint. */
export type NamedVariable = { readonly name: string; readonly variable: tfjs.Variable };

/**
 * Reads and writes the whole state of one optimizer. Slots stand in the order of `trainable`, which the training loop
 * passes to every `minimize`: TensorFlow.js finds them by position.
 */
export class OptimizerSlots {
  readonly kind: string;
  readonly #tf: TensorFlow;
  readonly #optimizer: tfjs.Optimizer;
  readonly #fields: Fields;
  readonly #layout: Layout;
  readonly #trainable: readonly NamedVariable[];

  constructor(tf: TensorFlow, optimizer: tfjs.Optimizer, trainable: readonly NamedVariable[]) {
    this.#tf = tf;
    this.#optimizer = optimizer;
    this.#fields = optimizer as unknown as Fields;
    this.#trainable = trainable;
    const centered = optimizer.getConfig().centered === true;
    this.kind = `${optimizer.getClassName()}${centered ? ", centered" : ""}`;
    const layout = layouts[this.kind];
    if (layout === undefined) {
      throw new TypeError(
        "Cannot train with this optimizer because its private state must be known to be saved: " +
          `${this.kind} is not one of ${Object.keys(layouts).join("; ")}.`,
      );
    }
    this.#layout = layout;
  }

  get state(): OptimizerState {
    return { kind: this.kind, iterations: this.#optimizer.iterations };
  }

  hold(): HeldTensor[] {
    const held = this.#layout.scalars.map((field) => holdTensor(this.#tf, `optimizer/${field}`, this.#scalar(field)));
    for (const [field, suffix] of Object.entries(this.#layout.slots)) {
      this.#slots(field).forEach(({ variable }, index) => {
        held.push(holdTensor(this.#tf, slotName(this.#trainable[index], suffix), variable));
      });
    }
    return held;
  }

  /** All tensors of that state, as they are for a weight without an update: what TensorFlow.js would make of them. */
  fresh({ iterations }: OptimizerState): FreshTensor[] {
    const scalars = this.#layout.scalars.map((field) => ({
      name: `optimizer/${field}`,
      weight: null,
      tensor: filled({ dtype: "F32", shape: [], fill: 0 }),
    }));
    if (iterations === 0) return scalars;
    const slots = Object.values(this.#layout.slots).flatMap((suffix) =>
      this.#trainable.map((weight) => {
        const { dtype, shape, name } = weight.variable;
        const fill = this.kind === "Adagrad" ? Number(this.#fields.initialAccumulatorValue) : 0;
        const tensor = filled({ dtype: savedDtype(name, dtype), shape, fill });
        return { name: slotName(weight, suffix), weight: weight.name, tensor };
      }),
    );
    return [...scalars, ...slots];
  }

  /** Throws before anything has changed. */
  check(tensors: LoadedTensors, state: OptimizerState): void {
    if (state.kind !== this.kind) {
      throw new IncompatibleError(
        "Cannot resume because the optimizer must be the one of the checkpoint: " +
          `${state.kind} in the checkpoint, ${this.kind} in the script.`,
      );
    }
    const expected = new Map<string, { dtype: string; shape: readonly number[] }>();
    for (const field of this.#layout.scalars) expected.set(`optimizer/${field}`, { dtype: "F32", shape: [] });
    if (state.iterations > 0) {
      for (const suffix of Object.values(this.#layout.slots)) {
        for (const weight of this.#trainable) {
          const { name, shape, dtype } = weight.variable;
          expected.set(slotName(weight, suffix), { dtype: savedDtype(name, dtype), shape });
        }
      }
    }
    requireSameTensors("optimizer state", expected, tensors);
  }

  restore(tensors: LoadedTensors, state: OptimizerState): void {
    for (const field of this.#layout.scalars) {
      const value = this.#load(tensors, `optimizer/${field}`);
      this.#scalar(field).assign(value);
      value.dispose();
    }
    for (const [field, suffix] of Object.entries(this.#layout.slots)) {
      for (const { variable } of this.#slots(field)) variable.dispose();
      this.#fields[field] =
        state.iterations === 0 ? [] : this.#trainable.map((weight) => this.#slot(tensors, weight, suffix));
    }
    this.#fields.iterations_ = state.iterations;
  }

  #slot(tensors: LoadedTensors, weight: NamedVariable, suffix: string): Slot {
    const value = this.#load(tensors, slotName(weight, suffix));
    const variable = this.#tf.variable(value, false);
    value.dispose();
    return { originalName: `${weight.variable.name}/${suffix}`, variable };
  }

  #load(tensors: LoadedTensors, name: string): tfjs.Tensor {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new IncompatibleError(`Cannot resume because the checkpoint must hold ${name}.`);
    return toTensor(this.#tf, tensor);
  }

  #scalar(field: string): tfjs.Variable {
    return this.#fields[field] as tfjs.Variable;
  }

  #slots(field: string): Slot[] {
    return this.#fields[field] as Slot[];
  }
}

function slotName(weight: NamedVariable | undefined, suffix: string): string {
  return `${weight?.name ?? "unknown"}/${suffix}`;
}

/** Weights that are trained are floats, and so are their slots. */
function filled({ dtype, shape, fill }: { dtype: string; shape: readonly number[]; fill: number }): LoadedTensor {
  const size = shape.reduce((product, extent) => product * extent, 1);
  return { dtype, shape, bytes: new Uint8Array(new Float32Array(size).fill(fill).buffer) };
}
