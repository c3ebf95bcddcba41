import { createHasher } from "../hash.ts";
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
}>;

/**
 * The file's chunks in order, each matched to the manifest in memory before it is handed on: from the first copy that
 * has it right, so that two copies with different damages still make a whole file. Some chunks are read ahead; a chunk
 * is valid until the next one is asked for. Memory: `readAhead` chunks and one more.
 */
export async function* matchedChunks(file: ManifestFile, options: Options): AsyncGenerator<Uint8Array> {
  const free: Uint8Array[] = [];
  const pending: Promise<Uint8Array>[] = [];
  const total = file.chunks.length;
  try {
    for (let next = 0, given = 0; given < total; given += 1) {
      for (; next < total && pending.length < readAhead; next += 1) {
        const buffer = free.pop() ?? new Uint8Array(Math.min(file.chunkBytes, file.bytes));
        const reading = matchedChunk(file, next, { ...options, buffer });
        // It may fail long before its turn comes.
        reading.catch(() => {});
        pending.push(reading);
      }
      const bytes = await pending.shift();
      if (bytes === undefined) return;
      yield bytes;
      free.push(new Uint8Array(bytes.buffer));
    }
  } finally {
    await Promise.allSettled(pending);
  }
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
