import { alignedMemory, alignmentBytes } from "../buffer-pool.ts";
import { ChunkedReader } from "../chunked-reader.ts";
import { chunkBytes } from "../limits.ts";
import type { ManifestFile } from "../manifest.ts";
import type { Place } from "../read-ahead.ts";
import { openPlain } from "../store/directory-files.ts";
import type { StoredFile } from "../store/store.ts";
import {
  type Dtype,
  headerLength,
  InvalidTensorsError,
  parseHeader,
  type TensorEntry,
  type TensorsHeader,
} from "./format.ts";

/** One tensor. Its memory begins at a multiple of 8, so that any typed array may view it; others may share its buffer. */
export type Tensor = Readonly<{ dtype: Dtype; shape: readonly number[]; bytes: Uint8Array }>;

/** A safetensors file in memory, tensors in the order of their bytes. */
export type Tensors = Readonly<{ tensors: ReadonlyMap<string, Tensor>; metadata: Readonly<Record<string, string>> }>;

/** What is accepted: at most `maxBytes`, and, where `expected` is given, only bytes that match it; `signal` ends it. */
export type ReadLimits = Readonly<{ maxBytes?: number; expected?: ManifestFile; signal?: AbortSignal | undefined }>;

const defaultMaxBytes = 64 * 1024 ** 3;

/**
 * Reads a safetensors file strictly, see FORMAT.md. The size and the header are checked before memory is taken for the
 * tensors; with `expected`, every byte is hashed on its way in (I2). Throws {@link InvalidTensorsError} for a file that
 * breaks a rule and `BytesDifferError` for one that is not the expected.
 */
export async function readTensors(source: string | Uint8Array, limits: ReadLimits = {}): Promise<Tensors> {
  await using file = typeof source === "string" ? await openPlain(source, "Device") : memoryFile(source);
  if (file === null) throw new InvalidTensorsError(`Cannot read tensors because there is no plain file at ${source}`);
  // The size of an expected file is the manifest's, which the reader holds it to: what was saved can be loaded.
  const maxBytes = limits.maxBytes ?? (limits.expected === undefined ? defaultMaxBytes : file.bytes);
  if (file.bytes > maxBytes) {
    throw new InvalidTensorsError(`Cannot read tensors because a file has at most ${maxBytes} bytes: ${file.bytes}`);
  }
  await using reader = new ChunkedReader(file, limits.expected ?? null, { signal: limits.signal });
  const { entries, metadata } = await readHeader(file.bytes, (target) => reader.fill(target));
  const { rooms, places } = roomsFor(entries, file.bytes);
  for (const place of places) reader.expect(place);
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    const bytes = rooms.get(name) ?? new Uint8Array(end - begin);
    await reader.fill(bytes);
    tensors.set(name, { dtype, shape, bytes });
  }
  reader.finish();
  return { tensors, metadata };
}

/** Tensors of a large file share memory of about this much, so that most of its pages go there without a copy. */
const sharedBytes = 256 * 1024 * 1024;

/** Room for the tensors of large files, where they can be read to without a copy; the others get memory of their own. */
function roomsFor(entries: readonly TensorEntry[], fileBytes: number) {
  const rooms = new Map<string, Uint8Array>();
  const places: Place[] = [];
  const dataAt = fileBytes - (entries.at(-1)?.end ?? 0);
  for (let first = 0, next = 0; first < entries.length; first = next) {
    const begin = dataAt + (entries[first]?.begin ?? 0);
    let end = begin;
    for (; next < entries.length && end - begin < sharedBytes; next += 1) end = dataAt + (entries[next]?.end ?? 0);
    const position = begin - (begin % alignmentBytes);
    const memory = end - begin < 2 * chunkBytes ? null : alignedMemory(end - position);
    if (memory === null) continue;
    places.push({ position, memory });
    for (const { name, begin, end } of entries.slice(first, next)) {
      const [from, to] = [dataAt + begin - position, dataAt + end - position];
      // A typed array can only begin at a multiple of its elements' size.
      if (from % 8 === 0) rooms.set(name, memory.subarray(from, to));
    }
  }
  return { rooms, places };
}

/** Checks the header of a stored file against its size, without reading the tensors. */
export async function checkTensors(file: StoredFile): Promise<TensorsHeader> {
  let at = 0;
  return readHeader(file.bytes, async (target) => {
    const read = await file.read(target, at);
    if (read < target.byteLength) throw new InvalidTensorsError("Cannot read tensors because the header ends too soon");
    at += read;
  });
}

async function readHeader(fileBytes: number, fill: (target: Uint8Array) => Promise<void>): Promise<TensorsHeader> {
  const prefix = new Uint8Array(Math.min(8, fileBytes));
  await fill(prefix);
  const header = new Uint8Array(headerLength(prefix, fileBytes));
  await fill(header);
  return parseHeader(header, fileBytes - 8 - header.byteLength);
}

/** Bytes in memory as a file. */
export function memoryFile(content: Uint8Array): StoredFile {
  return {
    bytes: content.byteLength,
    read: async (target, position) => {
      const part = content.subarray(position, position + target.byteLength);
      target.set(part);
      return part.byteLength;
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}
