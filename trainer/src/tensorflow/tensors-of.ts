import type * as tfjs from "@tensorflow/tfjs";
import type { Batch } from "../batches.ts";
import type { TensorFlow } from "./backend.ts";

/** A batch as tensors. */
export type TensorBatch<Name extends string> = Readonly<Record<Name, tfjs.Tensor>>;

/** The values of a batch as tensors, for code that must give them back with `tf.dispose` or run in `tf.tidy`. */
export function tensorsOf<Name extends string>(tf: TensorFlow, batch: Batch<Name>): TensorBatch<Name> {
  const entries = Object.entries<Batch[string]>(batch).map(
    ([name, { values, shape }]) =>
      [name, tf.tensor(values, [...shape], values instanceof Int32Array ? "int32" : "float32")] as const,
  );
  return Object.fromEntries(entries) as TensorBatch<Name>;
}
