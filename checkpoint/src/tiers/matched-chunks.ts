import { hold, type LentBuffers } from "../buffer-pool.ts";
import { createHasher } from "../hash.ts";
import { chunkBytes } from "../limits.ts";
import type { ManifestFile } from "../manifest.ts";
import { DamagedFileError, type StoredFile } from "../store/store.ts";

/** One copy of a file: where it is, for messages, and how to read it. */
export type Copy = Readonly<{ location: string; file: StoredFile }>;

/** Which copy a chunk could not be taken from. */
export type DamagedChunk = Readonly<{ location: string; path: string; chunk: number }>;

/** No copy holds a chunk's bytes. */
export class NoCopyMatchesError extends Error {
  override readonly name = "NoCopyMatchesError";
  readonly path: string;
  readonly chunk: number;

  constructor({ path, chunk, copies }: { path: string; chunk: number; copies: number }) {
    super(`chunk ${chunk} of ${JSON.stringify(path).slice(0, 160)} does not match in any of ${copies} copies, twice`);
    this.path = path;
    this.chunk = chunk;
  }
}

const readAhead = 3;

type Options = Readonly<{
  /** Copies in the order in which they are asked. */
  copies: readonly Copy[];
  signal?: AbortSignal | undefined;
  onDamage?: (damage: DamagedChunk) => void;
  /** Where chunks come to that are no larger than its buffers; memory of its own for the others, and where absent. */
  buffers?: LentBuffers;
}>;

/** Memory for a chunk, until it is given back. */
type Room = Readonly<{ memory: Uint8Array; giveBack: () => void }>;

/**
 * The file's chunks in order, each matched to the manifest in memory before it is handed on: from the first copy that
 * has it right, so that two copies with different damages still make a whole file. Some chunks are read ahead; a chunk
 * is valid until the next one is asked for, and in `buffers` for as long as somebody holds it (see `hold`). Memory:
 * `readAhead` chunks and one more, or as many as the buffers are.
 */
export async function* matchedChunks(file: ManifestFile, options: Options): AsyncGenerator<Uint8Array> {
  const roomFor = roomsOf(file, options.buffers);
  const pending: { reading: Promise<Uint8Array>; giveBack: () => void }[] = [];
  const total = file.chunks.length;
  try {
    for (let next = 0, given = 0; given < total; given += 1) {
      for (; next < total && pending.length < readAhead; next += 1) {
        const { memory, giveBack } = await roomFor();
        const reading = matchedChunk(file, next, { ...options, buffer: memory });
        // It may fail long before its turn comes.
        reading.catch(() => {});
        pending.push({ reading, giveBack });
      }
      const [first] = pending;
      if (first === undefined) return;
      yield await first.reading;
      pending.shift();
      first.giveBack();
    }
  } finally {
    await Promise.allSettled(pending.map(({ reading }) => reading));
    for (const { giveBack } of pending) giveBack();
  }
}

function roomsOf(file: ManifestFile, buffers: LentBuffers | undefined): () => Promise<Room> {
  const bytes = Math.min(file.chunkBytes, file.bytes);
  if (buffers !== undefined && bytes <= chunkBytes) {
    return async () => {
      const memory = await buffers.next();
      return { memory, giveBack: hold(memory) ?? (() => {}) };
    };
  }
  const free: Uint8Array[] = [];
  return async () => {
    const memory = free.pop() ?? new Uint8Array(bytes);
    return { memory, giveBack: () => void free.push(memory) };
  };
}

async function matchedChunk(
  file: ManifestFile,
  chunk: number,
  { copies, signal, onDamage, buffer }: Options & { buffer: Uint8Array },
): Promise<Uint8Array> {
  const position = chunk * file.chunkBytes;
  const target = buffer.subarray(0, Math.min(file.chunkBytes, file.bytes - position));
  const digest = `${file.algorithm}:${file.chunks[chunk]}`;
  for (const copy of copies) {
    for (const _ of ["first", "second"]) {
      signal?.throwIfAborted();
      if (await holds(copy, target, { position, digest, algorithm: file.algorithm })) return target;
    }
    onDamage?.({ location: copy.location, path: file.path, chunk });
  }
  throw new NoCopyMatchesError({ path: file.path, chunk, copies: copies.length });
}

async function holds(
  { file }: Copy,
  target: Uint8Array,
  { position, digest, algorithm }: { position: number; digest: string; algorithm: ManifestFile["algorithm"] },
): Promise<boolean> {
  const read = await file.read(target, position).catch(damageAsNull);
  if (read !== target.byteLength) return false;
  const hasher = createHasher(algorithm);
  hasher.update(target);
  return hasher.digest() === digest;
}

/** Bytes that the device itself calls bad are a damage of this copy; anything else is the tier's failure. */
function damageAsNull(error: unknown): null {
  if (error instanceof DamagedFileError) return null;
  throw error;
}
