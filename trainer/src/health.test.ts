import { describe, expect, test } from "vitest";
import { holdsNonFinite } from "./health.ts";

const bytes = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
const words = (...values: number[]) => new Uint8Array(Uint32Array.of(...values).buffer);
const floats = { dtype: "F32" } as const;

describe("float32 values", () => {
  test.each([
    ["ordinary numbers", bytes(0, -0, 1, -3.4e38, 1e-45), false],
    ["the largest and the smallest words that are numbers", words(0x7f7fffff, 0xff7fffff, 0, 0x80000000), false],
    ["a NaN", bytes(1, Number.NaN), true],
    ["an infinity", bytes(Number.POSITIVE_INFINITY, 2), true],
    ["a negative infinity", bytes(2, Number.NEGATIVE_INFINITY), true],
    ["a NaN of another payload", words(0x7fc00001), true],
    ["a negative NaN of the smallest payload", words(0xff800001), true],
    ["nothing", bytes(), false],
  ])("that are %s are told apart", (_, values, expected) => {
    expect(holdsNonFinite(floats, values)).toBe(expected);
  });

  test("are looked through wherever one stands among any number of others", () => {
    for (let length = 1; length <= 19; length += 1) {
      for (let at = 0; at < length; at += 1) {
        const values = Float32Array.from({ length }, (_, index) => (index === at ? Number.NaN : -index));
        expect(holdsNonFinite(floats, new Uint8Array(values.buffer)), `${at} of ${length}`).toBe(true);
      }
      expect(holdsNonFinite(floats, new Uint8Array(new Float32Array(length).buffer))).toBe(false);
    }
  });

  test("may start anywhere in their buffer", () => {
    const shifted = new Uint8Array(9);
    shifted.set(bytes(1, Number.NaN), 1);
    expect(holdsNonFinite(floats, shifted.subarray(1))).toBe(true);
    expect(holdsNonFinite(floats, shifted.subarray(1, 5))).toBe(false);
  });
});

test("values of other types are finite, whatever their bytes", () => {
  expect(holdsNonFinite({ dtype: "I32" }, words(0x7fc00001))).toBe(false);
});
