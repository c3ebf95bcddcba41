import { canonicalJson } from "../canonical-json.ts";
import type { FileSource } from "../file-source.ts";
import { limits } from "../limits.ts";
import { type Dtype, dtypeBytes, InvalidTensorsError, metadataName, tensorBytes } from "./format.ts";

/**
 * One tensor to be written: its bytes in row-major, little-endian order, or how to get them, in pieces of any size, when
 * it is their turn.
 */
export interface TensorSource {
  readonly name: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array | (() => AsyncIterable<Uint8Array>);
}

/**
 * A safetensors file of these tensors. Equal tensors give equal bytes, whatever their order here: wider types come
 * first, so that each tensor is aligned, then by name. Bytes given as a function are asked for one tensor at a time.
 */
export function tensorsFile(
  path: string,
  tensors: readonly TensorSource[],
  metadata: Readonly<Record<string, string>> = {},
): FileSource {
  const ordered = inFileOrder(tensors);
  const { header, dataBytes } = layOut(path, ordered, metadata);
  return {
    path,
    kind: "tensors",
    bytes: header.byteLength + dataBytes,
    async *chunks() {
      yield header;
      for (const tensor of ordered) yield* piecesOf(path, tensor);
    },
  };
}

/** Tensors in the order in which a file holds them, and asks for their bytes. */
export function inFileOrder<T extends Pick<TensorSource, "name" | "dtype">>(tensors: readonly T[]): T[] {
  return [...tensors].sort(
    (a, b) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype] || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0),
  );
}

function layOut(path: string, tensors: readonly TensorSource[], metadata: Readonly<Record<string, string>>) {
  const members: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) members[metadataName] = metadata;
  let at = 0;
  for (const { name, dtype, shape } of tensors) {
    if (name === "__proto__") throw refuse(path, "no tensor may be named __proto__");
    if (name === metadataName || Object.hasOwn(members, name)) throw refuse(path, `a name may appear once: ${name}`);
    const end = at + tensorBytes(dtype, shape);
    members[name] = { dtype, shape: [...shape], data_offsets: [at, end] };
    at = end;
  }
  const text = new TextEncoder().encode(canonicalJson(members));
  const length = Math.ceil(text.byteLength / 8) * 8;
  if (length > limits.tensorHeaderBytes) {
    throw refuse(path, `a header has at most ${limits.tensorHeaderBytes} bytes: ${length}`);
  }
  const header = Buffer.alloc(8 + length, " ");
  header.writeBigUInt64LE(BigInt(length), 0);
  header.set(text, 8);
  return { header, dataBytes: at };
}

async function* piecesOf(path: string, { name, dtype, shape, bytes }: TensorSource): AsyncGenerator<Uint8Array> {
  let given = 0;
  for await (const piece of typeof bytes === "function" ? bytes() : [bytes]) {
    given += piece.byteLength;
    yield piece;
  }
  const expected = tensorBytes(dtype, shape);
  if (given === expected) return;
  throw refuse(path, `${name} of its type and shape has ${expected} bytes: ${given} given`);
}

function refuse(path: string, rule: string): InvalidTensorsError {
  return new InvalidTensorsError(`Cannot write ${path} because ${rule}`);
}
