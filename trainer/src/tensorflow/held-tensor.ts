import type * as tfjs from "@tensorflow/tfjs";
import type { HeldTensor, LoadedTensor, TensorDtype } from "../learner.ts";
import type { TensorFlow } from "./backend.ts";

/** What the engine and every backend offer and the published typings leave out. */
type Engine = { makeTensorFromTensorInfo(info: tfjs.TensorInfo): tfjs.Tensor };
type CountingBackend = { incRef(dataId: object): void };
/** Only the wasm backend can show a tensor's bytes where they lie. */
type HeapBackend = { typedArrayFromHeap(tensor: tfjs.TensorInfo): Values };
type Values = Float32Array | Int32Array | Uint8Array;

/**
 * Holds a tensor's present value without copying it: TensorFlow.js never changes values in place, an update gives the
 * variable another buffer. One more reference, counted by the backend, keeps the old buffer alive until `release`,
 * whoever disposes of the variable meanwhile.
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
    bytes: tensor.size * elementBytes(dtype),
    read: () => bytesOf(reference.dataSync() as Values),
    copyTo: (target, from) => copyPart(tf, reference, { target, from }),
    release: () => reference.dispose(),
  };
}

/**
 * Copies a part of a tensor's bytes. What each backend copies besides is what decides: wasm shows its heap and
 * JavaScript its arrays; native TensorFlow hands out nothing but whole tensors, so a small one is cut out of a large one.
 */
function copyPart(tf: TensorFlow, tensor: tfjs.Tensor, { target, from }: { target: Uint8Array; from: number }): void {
  const to = from + target.byteLength;
  const name = tf.getBackend();
  if (name === "wasm") {
    const heap = (tf.backend() as unknown as HeapBackend).typedArrayFromHeap(tensor);
    target.set(bytesOf(heap).subarray(from, to));
  } else if (name === "cpu" || target.byteLength === tensor.size * elementBytes(tensor.dtype)) {
    target.set(bytesOf(tensor.dataSync() as Values).subarray(from, to));
  } else {
    const elements = elementBytes(tensor.dtype);
    const part = tf.tidy(() =>
      tf.keep(tf.slice1d(tf.reshape(tensor, [-1]) as tfjs.Tensor1D, from / elements, target.byteLength / elements)),
    );
    target.set(bytesOf(part.dataSync() as Values));
    part.dispose();
  }
}

function bytesOf(values: Values): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function elementBytes(dtype: tfjs.DataType): number {
  return dtype === "bool" ? 1 : 4;
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
