import { expect, test } from "vitest";
import { countNonFinite } from "./health.ts";

const bytes = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

test.each([
  ["ordinary numbers", bytes(0, -0, 1, -3.4e38, 1e-45), 0],
  ["a NaN", bytes(1, Number.NaN), 1],
  ["both infinities", bytes(Number.POSITIVE_INFINITY, 2, Number.NEGATIVE_INFINITY), 2],
  ["NaNs of any payload", new Uint8Array(Uint32Array.of(0x7fc00001, 0xff800001, 0x7f7fffff).buffer), 2],
  ["nothing", bytes(), 0],
])("%s hold as many non-finite values as they do", (_, values, expected) => {
  expect(countNonFinite(values)).toBe(expected);
});

test("bytes that start anywhere in their buffer are looked through all the same", () => {
  const shifted = new Uint8Array(9);
  shifted.set(bytes(1, Number.NaN), 1);
  expect(countNonFinite(shifted.subarray(1))).toBe(1);
});
