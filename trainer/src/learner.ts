import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { Random } from "./random.ts";
import { compareTensors, countDifferences, describeTensorDifferences, type TensorShape } from "./tensor-differences.ts";

/** Element types of the tensors that a trainer saves, as safetensors names them. */
export type TensorDtype = "F32" | "I32" | "BOOL";

/** A tensor's value at one instant. Holding it costs a reference: values are copied out only when they are asked for. */
export type HeldTensor = {
  readonly name: string;
  readonly dtype: TensorDtype;
  readonly shape: readonly number[];
  readonly bytes: number;
  read(): Uint8Array;
  /** Fills `target` with the values' bytes from `from` on; both are whole elements. */
  copyTo(target: Uint8Array, from: number): void;
  /** Gives the values back; a second time changes nothing. */
  release(): void;
};

/** A tensor as it comes out of a checkpoint. */
export type LoadedTensor = {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
};
export type LoadedTensors = ReadonlyMap<string, LoadedTensor>;

/** What of an optimizer is no tensor. `iterations` counts the updates it has applied. */
export type OptimizerState = { readonly kind: string; readonly iterations: number };

/** All that a learner must have back to go on exactly. */
export type Snapshot = {
  /** In canonical order: the model's own. The digest of the final weights is taken in this order. */
  readonly weights: readonly HeldTensor[];
  /** Slots and accumulators, private ones included. */
  readonly optimizerTensors: readonly HeldTensor[];
  readonly optimizer: OptimizerState;
};

/** One of the optimizer's tensors as it is for a weight that has not seen an update yet. */
export type FreshTensor = {
  /** For a slot: the weight's name, a slash, and what the slot is called. */
  readonly name: string;
  /** The weight that it belongs to; null where it belongs to all of them. */
  readonly weight: string | null;
  readonly tensor: LoadedTensor;
};

/** What learning is to the training loop: it turns batches into updates, and can be put down and picked up again. */
export type Learner<Data> = {
  /** Which tensor backend really computes, such as `tensorflow-cpu`, `wasm`, `plain`. */
  readonly backend: string;
  /** What shapes the numbers besides the code: versions, device, threads; for `environment.json`. */
  readonly environment: Readonly<Record<string, string | number>>;
  /** A digest over what the optimizer and the model are configured to be. */
  readonly config: Digest;
  /** One update; the loss before it. Every random number comes from `random`. */
  step(batch: Data, context: { step: number; random: Random }): number;
  snapshot(): Snapshot;
  /** Takes a checkpoint's values; throws {@link IncompatibleError} before anything has changed. */
  restore(weights: LoadedTensors, optimizerTensors: LoadedTensors, optimizer: OptimizerState): void;
  /**
   * Every tensor that the optimizer has in that state, as it is for a weight that begins anew. Where it is absent, a
   * partial load takes the optimizer's tensors as they are.
   */
  freshOptimizerTensors?(optimizer: OptimizerState): readonly FreshTensor[];
};

/** A checkpoint that is whole and cannot be continued by this script: both sides are named. */
export class IncompatibleError extends Error {
  override name = "IncompatibleError";
}

/**
 * Refuses a checkpoint whose tensors are not the ones that this script has: same names, types and shapes, none
 * missing and none left over. `what` is `weights` or `optimizer state`. One error tells of all that differ.
 */
export function requireSameTensors(
  what: string,
  expected: ReadonlyMap<string, TensorShape>,
  found: LoadedTensors,
): void {
  const differences = compareTensors(expected, found);
  if (countDifferences(differences) === 0) return;
  throw new IncompatibleError(
    `Cannot resume because the ${what} of the checkpoint must match the script's: ` +
      `${describeTensorDifferences(differences)}. To load the rest, name such weights in resume.partial.`,
  );
}
