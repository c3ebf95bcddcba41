import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { temporaryDirectory } from "../../test/fixture.ts";
import type { FileSource } from "../file-source.ts";
import { chunkBytes } from "../limits.ts";
import { dtypeBytes, isDtype, tensorBytes } from "./format.ts";
import { readTensors } from "./read.ts";
import { type TensorSource, tensorsFile } from "./write.ts";

async function bytesOf(file: FileSource): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of file.chunks()) pieces.push(piece.slice());
  return Buffer.concat(pieces);
}

async function* inPieces(...pieces: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* pieces;
}

const dtypes = Object.keys(dtypeBytes).filter(isDtype);
const tensor = fc
  .record({
    name: fc.string({ minLength: 1, maxLength: 12, unit: "grapheme" }).filter((name) => !name.startsWith("__")),
    dtype: fc.constantFrom(...dtypes),
    shape: fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 }),
    fill: fc.integer({ min: 0, max: 255 }),
  })
  .map(({ fill, ...rest }) => ({ ...rest, bytes: new Uint8Array(tensorBytes(rest.dtype, rest.shape)).fill(fill) }));
const tensors = fc.uniqueArray(tensor, { selector: ({ name }) => name, maxLength: 8 });

describe("a safetensors file", () => {
  test("gives back every tensor that was written, from memory and from disk", async () => {
    const path = join(await temporaryDirectory(), "t.safetensors");
    const property = fc.asyncProperty(tensors, fc.dictionary(fc.string(), fc.string()), async (written, metadata) => {
      fc.pre(!Object.hasOwn(metadata, "__proto__"));
      const file = tensorsFile("t.safetensors", written, metadata);
      const bytes = await bytesOf(file);
      expect(bytes.byteLength).toBe(file.bytes);
      await writeFile(path, bytes);
      for (const source of [bytes, path]) {
        const read = await readTensors(source);
        expect(Object.fromEntries(read.tensors)).toEqual(
          Object.fromEntries(written.map(({ name, ...rest }) => [name, rest])),
        );
        expect(read.metadata).toEqual({ ...metadata });
      }
    });
    await fc.assert(property, { numRuns: 150 });
  });

  test("of more than 64 GiB is read where the manifest names it, and nowhere else", async () => {
    const path = join(await temporaryDirectory(), "t.safetensors");
    await writeFile(path, "");
    const bytes = 65 * 1024 ** 3;
    // A hole: its size is taken, and then its header looked at.
    await truncate(path, bytes);
    await expect(readTensors(path)).rejects.toThrow("a file has at most 68719476736 bytes");
    const digest = `blake3:${"0".repeat(64)}` as const;
    const chunks = Array<string>(bytes / chunkBytes).fill("0".repeat(64));
    const place = { path: "t.safetensors", kind: "tensors", bytes } as const;
    const expected = { ...place, algorithm: "blake3", digest, chunkBytes, chunks } as const;
    await expect(readTensors(path, { expected })).rejects.toThrow("a header begins with {");
  });

  test("is the same bytes for the same tensors in any order", async () => {
    const property = fc.asyncProperty(tensors, async (written) => {
      const once = await bytesOf(tensorsFile("t", written));
      expect((await bytesOf(tensorsFile("t", written.toReversed()))).equals(once)).toBe(true);
    });
    await fc.assert(property, { numRuns: 100 });
  });

  test("aligns every tensor to its element, so that a typed array can view it", async () => {
    const written: TensorSource[] = [
      { name: "a", dtype: "U8", shape: [3], bytes: new Uint8Array(3) },
      { name: "b", dtype: "F64", shape: [1], bytes: new Uint8Array(8) },
      { name: "c", dtype: "F32", shape: [1], bytes: () => inPieces(new Uint8Array(3), new Uint8Array(1)) },
    ];
    const bytes = await bytesOf(tensorsFile("t", written));
    const headerBytes = Number(bytes.readBigUInt64LE(0));
    expect(headerBytes % 8).toBe(0);
    expect(JSON.parse(bytes.subarray(8, 8 + headerBytes).toString())).toEqual({
      b: { dtype: "F64", shape: [1], data_offsets: [0, 8] },
      c: { dtype: "F32", shape: [1], data_offsets: [8, 12] },
      a: { dtype: "U8", shape: [3], data_offsets: [12, 15] },
    });
  });

  test.each([
    {
      what: "two tensors of one name",
      given: [
        { name: "w", dtype: "U8", shape: [], bytes: new Uint8Array(1) },
        { name: "w", dtype: "U8", shape: [], bytes: new Uint8Array(1) },
      ],
      message: "Cannot write t because a name may appear once: w",
    },
    {
      what: "a tensor named like the metadata",
      given: [{ name: "__metadata__", dtype: "U8", shape: [], bytes: new Uint8Array(1) }],
      message: "Cannot write t because a name may appear once: __metadata__",
    },
    {
      what: "a tensor named __proto__",
      given: [{ name: "__proto__", dtype: "U8", shape: [], bytes: new Uint8Array(1) }],
      message: "Cannot write t because no tensor may be named __proto__",
    },
    {
      what: "pieces that do not fit the shape",
      given: [{ name: "w", dtype: "U8", shape: [3], bytes: () => inPieces(new Uint8Array(2), new Uint8Array(2)) }],
      message: "Cannot write t because w of its type and shape has 3 bytes: 4 given",
    },
    {
      what: "bytes that do not fit the shape",
      given: [{ name: "w", dtype: "F32", shape: [2], bytes: new Uint8Array(4) }],
      message: "Cannot write t because w of its type and shape has 8 bytes: 4 given",
    },
  ] satisfies { what: string; given: TensorSource[]; message: string }[])(
    "refuses to write $what",
    async ({ given, message }) => {
      await expect((async () => bytesOf(tensorsFile("t", given)))()).rejects.toThrow(message);
    },
  );
});
