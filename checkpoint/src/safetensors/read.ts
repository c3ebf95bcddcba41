import { ChunkedReader } from "../chunked-reader.ts";
import type { ManifestFile } from "../manifest.ts";
import { openPlain } from "../store/directory-files.ts";
import type { StoredFile } from "../store/store.ts";
import { type Dtype, headerLength, InvalidTensorsError, parseHeader, type TensorsHeader } from "./format.ts";

/** One tensor in memory of its own, so that any typed array may view it. */
export type Tensor = Readonly<{ dtype: Dtype; shape: readonly number[]; bytes: Uint8Array }>;

/** A safetensors file in memory, tensors in the order of their bytes. */
export type Tensors = Readonly<{ tensors: ReadonlyMap<string, Tensor>; metadata: Readonly<Record<string, string>> }>;

/** What is accepted: at most `maxBytes`, and, where `expected` is given, only bytes that match it. */
export type ReadLimits = Readonly<{ maxBytes?: number; expected?: ManifestFile }>;

const defaultMaxBytes = 64 * 1024 ** 3;

/**
 * Reads a safetensors file strictly, see FORMAT.md. The size and the header are checked before memory is taken for the
 * tensors; with `expected`, every byte is hashed on its way in (I2). Throws {@link InvalidTensorsError} for a file that
 * breaks a rule and `BytesDifferError` for one that is not the expected.
 */
export async function readTensors(source: string | Uint8Array, limits: ReadLimits = {}): Promise<Tensors> {
  await using file = typeof source === "string" ? await openPlain(source, "Device") : memoryFile(source);
  if (file === null) throw new InvalidTensorsError(`Cannot read tensors because there is no plain file at ${source}`);
  const maxBytes = limits.maxBytes ?? defaultMaxBytes;
  if (file.bytes > maxBytes) {
    throw new InvalidTensorsError(`Cannot read tensors because a file has at most ${maxBytes} bytes: ${file.bytes}`);
  }
  await using reader = new ChunkedReader(file, limits.expected ?? null);
  const { entries, metadata } = await readHeader(file.bytes, (target) => reader.fill(target));
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, shape, begin, end } of entries) {
    const bytes = new Uint8Array(end - begin);
    await reader.fill(bytes);
    tensors.set(name, { dtype, shape, bytes });
  }
  reader.finish();
  return { tensors, metadata };
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

function memoryFile(content: Uint8Array): StoredFile {
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
