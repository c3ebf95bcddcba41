import { chunkBytes } from "./limits.ts";

const kept: Uint8Array[] = [];
const maxKept = 4;

/**
 * Lends a buffer of 8 MiB for as long as `use` runs. Buffers are used again: the first touch of fresh memory costs
 * several times what writing to warm memory does. The bytes in it are whatever was there before.
 */
export async function withBuffer<T>(use: (buffer: Uint8Array) => Promise<T>): Promise<T> {
  const buffer = kept.pop() ?? new Uint8Array(chunkBytes);
  try {
    return await use(buffer);
  } finally {
    if (kept.length < maxKept) kept.push(buffer);
  }
}
