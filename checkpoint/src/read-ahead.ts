import { alignmentBytes, hold, LentBuffers } from "./buffer-pool.ts";
import { chunkBytes } from "./limits.ts";
import type { StoredFile } from "./store/store.ts";

/** Enough that the device always has its next read while a piece is hashed. */
const readsInFlight = 3;

/** Memory that the bytes of a file from a position on are to come to. */
export type Place = Readonly<{ position: number; memory: Uint8Array }>;

/**
 * A stored file in pieces of 8 MiB, the last one shorter, in order and read ahead. A piece is valid until the next is
 * asked for; one with fewer bytes than its place has says that the file ends there by now. Memory: four pieces, and
 * `places`, which may grow while the file is read: a piece that lies in one of them whole is read to there.
 */
export async function* readAhead(
  file: StoredFile,
  { signal, places = [] }: { signal?: AbortSignal | undefined; places?: readonly Place[] } = {},
): AsyncGenerator<Uint8Array> {
  await using buffers = new LentBuffers(readsInFlight + 1);
  const pending: { piece: Promise<Uint8Array>; release: (() => void) | null }[] = [];
  try {
    for (let given = 0, begun = 0; given < file.bytes; given += chunkBytes) {
      for (; begun < file.bytes && pending.length <= readsInFlight; begun += chunkBytes) {
        const buffer = placed(places, begun) ?? (await buffers.next());
        const release = hold(buffer);
        const piece = readPiece(file, buffer, begun);
        // It may fail long before its turn comes.
        piece.catch(() => {});
        pending.push({ piece, release });
      }
      signal?.throwIfAborted();
      const [next] = pending;
      if (next === undefined) return;
      yield await next.piece;
      next.release?.();
      pending.shift();
    }
  } finally {
    await Promise.allSettled(pending.map(({ piece }) => piece));
    for (const { release } of pending) release?.();
  }
}

function placed(places: readonly Place[], begin: number): Uint8Array | undefined {
  for (const { position, memory } of places) {
    const from = begin - position;
    if (from >= 0 && from + chunkBytes <= memory.byteLength) return memory.subarray(from, from + chunkBytes);
  }
  return undefined;
}

/** Reads one such piece. Whole pages are asked for, also at the file's end, so that they can come from the device. */
export async function readPiece(file: StoredFile, buffer: Uint8Array, position: number): Promise<Uint8Array> {
  const wanted = Math.min(buffer.byteLength, file.bytes - position);
  const pages = Math.ceil(wanted / alignmentBytes) * alignmentBytes;
  const read = await file.read(buffer.subarray(0, pages), position);
  return buffer.subarray(0, Math.min(read, wanted));
}
