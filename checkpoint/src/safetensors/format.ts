import { z } from "zod";
import { limits } from "../limits.ts";
import { parseStrictJson } from "../strict-json.ts";

/** Bytes per element of every type that a tensor may have. */
export const dtypeBytes = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
  C64: 8,
} as const;
export type Dtype = keyof typeof dtypeBytes;

/** Name under which a header carries text about the whole file. */
export const metadataName = "__metadata__";

/** Bytes that are not a safetensors file as FORMAT.md defines it; `message` names the rule. */
export class InvalidTensorsError extends Error {
  override readonly name = "InvalidTensorsError";
}

/** One tensor's place: `begin` and `end` count from the first byte after the header. */
export type TensorEntry = Readonly<{
  name: string;
  dtype: Dtype;
  shape: readonly number[];
  begin: number;
  end: number;
}>;

/** A header that has been checked: entries in the order of their bytes, which they cover without gap or overlap. */
export type TensorsHeader = Readonly<{ entries: readonly TensorEntry[]; metadata: Readonly<Record<string, string>> }>;

const Entry = z.strictObject({
  dtype: z.string().refine(isDtype, "must be a known dtype"),
  shape: z.array(z.int().min(0)).max(limits.tensorDimensions),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});
const Metadata = z.record(z.string(), z.string());

/** The length of the header, from a file's first 8 bytes; refused before anything is allocated for it. */
export function headerLength(prefix: Uint8Array, fileBytes: number): number {
  if (prefix.byteLength < 8) throw invalid("a file begins with 8 bytes of length", `${prefix.byteLength} bytes`);
  const length = Buffer.from(prefix.buffer, prefix.byteOffset, 8).readBigUInt64LE(0);
  if (length > BigInt(limits.tensorHeaderBytes)) {
    throw invalid(`a header has at most ${limits.tensorHeaderBytes} bytes`, `${length}`);
  }
  if (Number(length) > fileBytes - 8) throw invalid("a header must lie inside the file", `${length} of ${fileBytes}`);
  return Number(length);
}

/** Reads a header's bytes; `dataBytes` is what the file has after it. */
export function parseHeader(bytes: Uint8Array, dataBytes: number): TensorsHeader {
  const raw = parseObject(bytes);
  const { [metadataName]: rawMetadata = {}, ...tensors } = raw;
  const metadata = Metadata.safeParse(rawMetadata);
  if (!metadata.success) throw invalid("metadata must be text by name", z.prettifyError(metadata.error));
  const entries = Object.entries(tensors)
    .map(([name, value]) => parseEntry(name, value))
    .sort((a, b) => a.begin - b.begin || a.end - b.end);
  let end = 0;
  for (const entry of entries) {
    if (entry.begin !== end) throw invalid("tensors must follow each other without gap or overlap", entry.name);
    end = entry.end;
  }
  if (end !== dataBytes) throw invalid("tensors must cover the file to its end", `${end} of ${dataBytes} bytes`);
  return { entries, metadata: metadata.data };
}

/** Bytes that a tensor of this type and shape has. */
export function tensorBytes(dtype: Dtype, shape: readonly number[]): number {
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    if (!Number.isSafeInteger(elements * 8)) throw invalid("a tensor's size must be countable", shape.join("x"));
  }
  return elements * dtypeBytes[dtype];
}

/** Whether a word names a known element type. */
export function isDtype(word: string): word is Dtype {
  return Object.hasOwn(dtypeBytes, word);
}

function parseEntry(name: string, value: unknown): TensorEntry {
  const parsed = Entry.safeParse(value);
  if (!parsed.success) throw invalid(`an entry must follow the schema: ${name}`, z.prettifyError(parsed.error));
  const { dtype, shape } = parsed.data;
  const [begin, end] = parsed.data.data_offsets;
  if (end - begin !== tensorBytes(dtype, shape)) {
    throw invalid("offsets must fit type and shape", `${name} ${dtype} ${shape.join("x")} in ${begin}..${end}`);
  }
  return { name, dtype, shape, begin, end };
}

const Members = z.record(z.string(), z.unknown());

function parseObject(bytes: Uint8Array): Record<string, unknown> {
  if (bytes[0] !== 0x7b) throw invalid("a header begins with {", `byte ${bytes[0]}`);
  let raw: unknown;
  try {
    raw = parseStrictJson(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (error) {
    throw new InvalidTensorsError(`Cannot read tensors because the header must be strict JSON: ${String(error)}`, {
      cause: error,
    });
  }
  const parsed = Members.safeParse(raw);
  if (!parsed.success) throw invalid("a header must be an object", String(raw));
  return parsed.data;
}

function invalid(rule: string, seen: string): InvalidTensorsError {
  return new InvalidTensorsError(`Cannot read tensors because ${rule}: ${seen.slice(0, 200)}`);
}
