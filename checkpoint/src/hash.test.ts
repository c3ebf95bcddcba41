import { describe, expect, test } from "vitest";
import { algorithmOf, createHasher, hashBytes, preferredAlgorithm } from "./hash.ts";
import { compareHealth, listsAllNonFinite } from "./health.ts";
import { Health } from "./manifest.ts";

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

  test("keeps long names apart by their digest, and knows them again", () => {
    const names = ["a", "b"].map((end) => `${"\u{1f600}".repeat(150)}/${end}`);
    const { nonFinite, unexpectedTensors } = compareHealth(names, []);
    expect(unexpectedTensors).toBe(2);
    expect(Health.safeParse(compareHealth(names, names))).toMatchObject({ success: true, data: { unexpected: [] } });
    expect(compareHealth(names, nonFinite)).toMatchObject({ nonFinite, unexpected: [], unexpectedTensors: 0 });
  });

  test("leaves room in the manifest for everything else, and says that it names not all", () => {
    const names = Array.from({ length: 900 }, (_, index) => `${"\u0001".repeat(250)}${index}`);
    const health = compareHealth(names, []);
    expect(Buffer.byteLength(JSON.stringify(health))).toBeLessThan(65 * 1024);
    expect(health).toMatchObject({ nonFiniteTensors: 900, unexpectedTensors: 900 });
    expect(listsAllNonFinite(health)).toBe(false);
    expect(listsAllNonFinite(compareHealth(["a"], []))).toBe(true);
  });
});
