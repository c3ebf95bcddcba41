import type { HeldTensor } from "./learner.ts";

/** Names of the tensors that hold NaN or infinity; reads each of them. */
export function nonFiniteTensors(tensors: readonly HeldTensor[]): string[] {
  return tensors.filter((tensor) => holdsNonFinite(tensor, tensor.read())).map(({ name }) => name);
}

/** Whether a tensor whose values are these bytes holds NaN or infinity. */
export function holdsNonFinite({ dtype }: Pick<HeldTensor, "dtype">, bytes: Uint8Array): boolean {
  return dtype === "F32" && countNonFinite(bytes) > 0;
}

/** Counts NaN and infinities among 32-bit floats given as bytes. */
export function countNonFinite(bytes: Uint8Array): number {
  let count = 0;
  const words =
    bytes.byteOffset % 4 === 0
      ? new Uint32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2)
      : new Uint32Array(bytes.slice().buffer);
  // A float32 is NaN or infinite exactly when all eight bits of its exponent are set.
  for (let index = 0; index < words.length; index += 1) {
    if (((words[index] ?? 0) & 0x7f80_0000) === 0x7f80_0000) count += 1;
  }
  return count;
}
