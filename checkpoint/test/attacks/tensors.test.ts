import { describe, expect, test } from "vitest";
import { limits } from "../../src/limits.ts";
import { readTensors } from "../../src/safetensors/read.ts";

/** A file of a header's text and so many bytes of data. */
function tensorsOf(header: string, dataBytes: number, announced?: number | bigint): Uint8Array {
  const text = Buffer.from(header);
  const bytes = Buffer.alloc(8 + text.byteLength + dataBytes);
  bytes.writeBigUInt64LE(BigInt(announced ?? text.byteLength), 0);
  bytes.set(text, 8);
  return bytes;
}

const entry = (begin: number, end: number, more: object = {}) => ({
  dtype: "U8",
  shape: [end - begin],
  data_offsets: [begin, end],
  ...more,
});
const header = (tensors: object) => JSON.stringify(tensors);

describe("a safetensors file that was made to deceive", () => {
  test("is told from a genuine one, which is read", async () => {
    const { tensors } = await readTensors(tensorsOf(header({ a: entry(0, 2), b: entry(2, 4) }), 4));
    expect([...tensors.keys()]).toEqual(["a", "b"]);
  });

  const files: { what: string; bytes: () => Uint8Array; message: string }[] = [
    { what: "nothing", bytes: () => new Uint8Array(0), message: "a file begins with 8 bytes of length" },
    { what: "seven bytes", bytes: () => new Uint8Array(7), message: "a file begins with 8 bytes of length" },
    { what: "an empty header", bytes: () => new Uint8Array(8), message: "a header begins with {" },
    {
      what: "a header beyond 8 MiB",
      bytes: () => tensorsOf("{}", 0, limits.tensorHeaderBytes + 1),
      message: "a header has at most 8388608 bytes",
    },
    {
      what: "a header of 2^64-1 bytes",
      bytes: () => tensorsOf("{}", 0, 2n ** 64n - 1n),
      message: "a header has at most 8388608 bytes: 18446744073709551615",
    },
    {
      what: "a header that ends outside",
      bytes: () => tensorsOf("{}", 0, 3),
      message: "a header must lie inside the file",
    },
    { what: "an array for a header", bytes: () => tensorsOf("[]", 0), message: "a header begins with {" },
    { what: "white space first", bytes: () => tensorsOf(" {}", 0), message: "a header begins with {" },
    { what: "no JSON", bytes: () => tensorsOf("{a}", 0), message: "the header must be strict JSON" },
    {
      what: "no UTF-8",
      bytes: () => tensorsOf(Buffer.from([0x7b, 0xff, 0x7d]).toString("latin1"), 0),
      message: "strict JSON",
    },
    {
      what: "one name twice",
      bytes: () =>
        tensorsOf(
          '{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}',
          2,
        ),
      message: "a member may appear once",
    },
    {
      what: "__proto__",
      bytes: () => tensorsOf('{"__proto__":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1),
      message: "no member may be named __proto__",
    },
    {
      what: "an overlap",
      bytes: () => tensorsOf(header({ a: entry(0, 3), b: entry(2, 4) }), 4),
      message: "without gap or overlap: b",
    },
    {
      what: "the same place twice",
      bytes: () => tensorsOf(header({ a: entry(0, 4), b: entry(0, 4) }), 4),
      message: "without gap or overlap: b",
    },
    {
      what: "a gap",
      bytes: () => tensorsOf(header({ a: entry(0, 1), b: entry(2, 4) }), 4),
      message: "without gap or overlap: b",
    },
    {
      what: "a gap at the start",
      bytes: () => tensorsOf(header({ a: entry(1, 4) }), 4),
      message: "without gap or overlap: a",
    },
    {
      what: "bytes after the last tensor",
      bytes: () => tensorsOf(header({ a: entry(0, 3) }), 4),
      message: "cover the file to its end: 3 of 4 bytes",
    },
    {
      what: "an end outside the file",
      bytes: () => tensorsOf(header({ a: entry(0, 5) }), 4),
      message: "cover the file to its end: 5 of 4 bytes",
    },
    { what: "bytes without a tensor", bytes: () => tensorsOf("{}", 4), message: "cover the file to its end" },
    {
      what: "an end before its begin",
      bytes: () => tensorsOf(header({ a: { dtype: "U8", shape: [1], data_offsets: [4, 3] } }), 4),
      message: "offsets must fit type and shape",
    },
    {
      what: "offsets that do not fit the shape",
      bytes: () => tensorsOf(header({ a: entry(0, 4, { shape: [5] }) }), 4),
      message: "offsets must fit type and shape",
    },
    {
      what: "offsets that do not fit the type",
      bytes: () => tensorsOf(header({ a: entry(0, 4, { dtype: "F64" }) }), 4),
      message: "offsets must fit type and shape",
    },
    {
      what: "a shape beyond counting",
      bytes: () => tensorsOf(header({ a: entry(0, 4, { shape: [2 ** 30, 2 ** 30] }) }), 4),
      message: "a tensor's size must be countable",
    },
    {
      what: "a shape that multiplies to its size only by overflow",
      bytes: () => tensorsOf(header({ a: entry(0, 0, { shape: [2 ** 40, 2 ** 40, 0] }) }), 0),
      message: "a tensor's size must be countable",
    },
    {
      what: "a negative size",
      bytes: () => tensorsOf(header({ a: entry(0, 4, { shape: [-2, -2] }) }), 4),
      message: "shape",
    },
    {
      what: "a size that is no count",
      bytes: () => tensorsOf(header({ a: entry(0, 4, { shape: [0.5, 8] }) }), 4),
      message: "shape",
    },
    {
      what: "too many dimensions",
      bytes: () => tensorsOf(header({ a: entry(0, 4, { shape: [4, ...Array(16).fill(1)] }) }), 4),
      message: "shape",
    },
    {
      what: "an unknown type",
      bytes: () => tensorsOf(header({ a: entry(0, 4, { dtype: "OBJECT" }) }), 4),
      message: "must be a known dtype",
    },
    {
      what: "a type that is a member of every object",
      bytes: () => tensorsOf(header({ a: entry(0, 4, { dtype: "constructor" }) }), 4),
      message: "must be a known dtype",
    },
    {
      what: "a member that nobody knows",
      bytes: () => tensorsOf(header({ a: entry(0, 4, { pickle: "x" }) }), 4),
      message: "pickle",
    },
    {
      what: "metadata that is not text",
      bytes: () => tensorsOf(header({ __metadata__: { a: 1 } }), 0),
      message: "metadata must be text by name",
    },
    {
      what: "nesting without end",
      bytes: () => tensorsOf('{"a":'.repeat(100_000), 0),
      message: "values may nest 32 deep",
    },
  ];
  test.each(files)("is refused: $what", async ({ bytes, message }) => {
    await expect(readTensors(bytes())).rejects.toThrow(message);
  });

  test("costs no memory that its bytes do not back: a header that promises 8 MiB of names is read, one that lies is not", async () => {
    const before = process.memoryUsage().arrayBuffers;
    for (let round = 0; round < 100; round += 1) {
      await expect(readTensors(tensorsOf("{}", 0, limits.tensorHeaderBytes))).rejects.toThrow(
        "must lie inside the file",
      );
    }
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(limits.tensorHeaderBytes);
  });

  test("keeps to the size that its reader allows", async () => {
    const bytes = tensorsOf(header({ a: entry(0, 4) }), 4);
    await expect(readTensors(bytes, { maxBytes: 10 })).rejects.toThrow("a file has at most 10 bytes");
  });
});
