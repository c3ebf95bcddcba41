import { expect, test } from "vitest";
import { ArrivingTensors } from "./arriving-tensors.ts";

function arriving() {
  const given: number[] = [];
  const abort = new AbortController();
  return { tensors: new ArrivingTensors({ giveBack: (slab) => given.push(slab), signal: abort.signal }), given, abort };
}

async function take(tensors: ArrivingTensors, name: string, bytes: number, dtype: "F32" | "BOOL" = "BOOL") {
  const taken: number[] = [];
  for await (const piece of tensors.take({ name, dtype }, bytes)) taken.push(...piece);
  return taken;
}

test("tensors are cut out of slabs, and a slab goes back with its last byte", async () => {
  const { tensors, given } = arriving();
  tensors.push({ slab: 0, bytes: Uint8Array.of(1, 1, 2, 2) });
  tensors.push({ slab: 1, bytes: Uint8Array.of(2, 3) });
  expect([await take(tensors, "one", 2), given]).toEqual([[1, 1], []]);
  expect([await take(tensors, "two", 3), given]).toEqual([[2, 2, 2], [0]]);
  expect([await take(tensors, "three", 1), given]).toEqual([[3], [0, 1]]);
});

test("a tensor without bytes waits for nothing", async () => {
  expect(await take(arriving().tensors, "empty", 0)).toEqual([]);
});

test("values that are not there yet are waited for", async () => {
  const { tensors } = arriving();
  const taking = take(tensors, "late", 2);
  tensors.push({ slab: 0, bytes: Uint8Array.of(7) });
  await Promise.resolve();
  tensors.push({ slab: 1, bytes: Uint8Array.of(8) });
  expect(await taking).toEqual([7, 8]);
});

test("an abandoned save waits no longer, and gives every slab back", async () => {
  const { tensors, given, abort } = arriving();
  tensors.push({ slab: 0, bytes: Uint8Array.of(7, 7) });
  const taking = take(tensors, "half", 4);
  await Promise.resolve();
  abort.abort(new Error("given up"));
  await expect(taking).rejects.toThrow("given up");
  tensors.push({ slab: 1, bytes: Uint8Array.of(8) });
  tensors.close();
  expect(given.toSorted()).toEqual([0, 1]);
});

test.each([
  { what: "in the first slab of a tensor", at: 0, unhealthy: ["a"] },
  { what: "in its last slab", at: 2, unhealthy: ["a"] },
  { what: "in the next tensor only", at: 3, unhealthy: ["b"] },
])("a NaN $what is found, and named once", async ({ at, unhealthy }) => {
  const { tensors } = arriving();
  const values = Float32Array.of(1, 2, 3, 4);
  values[at] = Number.NaN;
  const bytes = new Uint8Array(values.buffer);
  tensors.push({ slab: 0, bytes: bytes.subarray(0, 8) });
  tensors.push({ slab: 1, bytes: bytes.subarray(8, 16) });
  await take(tensors, "a", 12, "F32");
  await take(tensors, "b", 4, "F32");
  expect(tensors.nonFinite).toEqual(unhealthy);
});
