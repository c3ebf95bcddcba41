import { afterEach, expect, test, vi } from "vitest";
import { maxSlabs, slabBytes, slabsFor, warmSlab } from "./slab.ts";

afterEach(() => {
  vi.unstubAllGlobals();
});

test("a slab can be had where addresses are short, as under ulimit -v", () => {
  const Memory = class {
    constructor() {
      throw new RangeError("WebAssembly.Memory(): could not allocate memory");
    }
  };
  vi.stubGlobal("WebAssembly", { Memory });
  expect(warmSlab().byteLength).toBe(slabBytes);
});

test.each([
  ["a file without bytes gets one all the same", 0, 1, 1],
  ["each file begins in a slab of its own", slabBytes + 1, 2, 4],
  ["there is an end to it", 2 ** 40, 2, maxSlabs],
])("%s", (_, bytes, files, slabs) => {
  expect(slabsFor(bytes, files)).toBe(slabs);
});
