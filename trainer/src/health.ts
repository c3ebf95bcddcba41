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
