import { describe, expect, test } from "vitest";
import { algorithmOf, createHasher, hashBytes, preferredAlgorithm } from "./hash.ts";
import { compareHealth } from "./health.ts";

const abc = new TextEncoder().encode("abc");

describe("digests", () => {
  test("are BLAKE3 where the native package is installed, as it is here", () => {
    expect(preferredAlgorithm()).toBe("blake3");
  });

  // The published test vectors of both functions for the text "abc".
  test.each([
    { algorithm: "blake3", hex: "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85" },
    { algorithm: "sha256", hex: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
  ] as const)("of $algorithm are those of its specification, in one piece or in many", ({ algorithm, hex }) => {
    expect(hashBytes(abc, algorithm)).toBe(`${algorithm}:${hex}`);
    const hasher = createHasher(algorithm);
    for (const byte of abc) hasher.update(Uint8Array.of(byte));
    expect(hasher.digest()).toBe(`${algorithm}:${hex}`);
    expect(algorithmOf(`${algorithm}:${hex}`)).toBe(algorithm);
  });
});

describe("health", () => {
  test("expects what was there before, and nothing else", () => {
    expect(compareHealth(["w", "mask", "w"], ["mask", "gone"])).toEqual({
      nonFinite: ["mask", "w"],
      nonFiniteTensors: 2,
      unexpected: ["w"],
      unexpectedTensors: 1,
    });
  });

  test("counts all and lists a thousand", () => {
    const names = Array.from({ length: 1500 }, (_, index) => `t${String(index).padStart(4, "0")}`);
    const health = compareHealth(names, []);
    expect(health).toMatchObject({ nonFiniteTensors: 1500, unexpectedTensors: 1500 });
    expect(health.nonFinite).toHaveLength(1000);
  });
});
