import type * as tfjs from "@tensorflow/tfjs";
import type { HeldTensor, LoadedTensor, TensorDtype } from "../learner.ts";
import type { TensorFlow } from "./backend.ts";

/** What the engine and every backend offer and the published typings leave out. */
type Engine = { makeTensorFromTensorInfo(info: tfjs.TensorInfo): tfjs.Tensor };
type CountingBackend = { incRef(dataId: object): void };

/**
 * Holds a tensor's present value without copying it: TensorFlow.js never changes values in place, an update gives the
 * variable another buffer. One more reference keeps the old buffer alive until `release`.
 */
export function holdTensor(tf: TensorFlow, name: string, tensor: tfjs.Tensor): HeldTensor {
  const { dataId, shape, dtype } = tensor;
  const engine = tf.engine() as unknown as Engine;
  const reference = tf.keep(engine.makeTensorFromTensorInfo({ dataId, shape, dtype }));
  (tf.backend() as unknown as CountingBackend).incRef(dataId);
  return {
    name,
    dtype: savedDtype(name, dtype),
    shape,
    bytes: tensor.size * (dtype === "bool" ? 1 : 4),
    read: () => {
      const values = reference.dataSync();
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    },
    release: () => reference.dispose(),
  };
}

/** A tensor of a checkpoint's values; its bytes were checked against type and shape before. */
export function toTensor(tf: TensorFlow, { dtype, shape, bytes }: LoadedTensor): tfjs.Tensor {
  const copy = bytes.slice();
  if (dtype === "F32") return tf.tensor(new Float32Array(copy.buffer), [...shape], "float32");
  if (dtype === "I32") return tf.tensor(new Int32Array(copy.buffer), [...shape], "int32");
  return tf.tensor(copy, [...shape], "bool");
}

/** How the type of a tensor is called in a checkpoint. */
export function savedDtype(name: string, dtype: string): TensorDtype {
  if (dtype === "float32") return "F32";
  if (dtype === "int32") return "I32";
  if (dtype === "bool") return "BOOL";
  throw new TypeError(`Cannot save ${name} because its type must be float32, int32 or bool: ${dtype}.`);
}
