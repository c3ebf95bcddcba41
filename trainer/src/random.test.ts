import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { derivedSeed, philoxWords, Random, withMathRandom } from "./random.ts";

describe("the generator", () => {
  // Known answers of the reference implementation, for philox2x32 with 10 rounds.
  test.each([
    { low: 0, high: 0, key: 0, answer: [0xff1dae59, 0x6cd10df2] },
    { low: 0xffffffff, high: 0xffffffff, key: 0xffffffff, answer: [0x2c3f628b, 0xab4fd7ad] },
    { low: 0x243f6a88, high: 0x85a308d3, key: 0x13198a2e, answer: [0xdd7ce038, 0xf62a4c12] },
  ])("gives the published answer for counter $high,$low and key $key", ({ low, high, key, answer }) => {
    expect(philoxWords(low, high, key)).toEqual(answer);
  });

  test("goes on from its state as if nothing had happened", () => {
    fc.assert(
      fc.property(fc.nat(2 ** 32 - 1), fc.nat(200), fc.nat(200), (seed, before, after) => {
        const undisturbed = new Random({ seed, counter: 0 });
        for (let index = 0; index < before; index += 1) undisturbed.next();
        const resumed = new Random(structuredClone(undisturbed.state));
        const rest = (random: Random) => Array.from({ length: after }, () => [random.next(), random.below(7)]);
        expect(rest(resumed)).toEqual(rest(undisturbed));
      }),
    );
  });

  test("stays inside its bounds and does not favour a value", () => {
    const random = new Random({ seed: 5, counter: 0 });
    const counts = [0, 0, 0, 0, 0, 0, 0];
    let sum = 0;
    let outside = 0;
    for (let index = 0; index < 70_000; index += 1) {
      const value = random.below(7);
      counts[value] = (counts[value] ?? 0) + 1;
      const fraction = random.next();
      outside += fraction >= 0 && fraction < 1 ? 0 : 1;
      sum += fraction;
    }
    expect(counts).toHaveLength(7);
    expect(outside).toBe(0);
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
    expect(Math.abs(sum / 70_000 - 0.5)).toBeLessThan(0.01);
  });

  test("gives every use of a seed a stream of its own", () => {
    const seeds = [0, 1, 2, 3, 4, 5].map((stream) => derivedSeed(7, stream));
    expect(new Set(seeds).size).toBe(seeds.length);
  });

  test.each([
    { seed: -1, counter: 0 },
    { seed: 2 ** 32, counter: 0 },
    { seed: 0.5, counter: 0 },
    { seed: 1, counter: -1 },
  ])("refuses the state $seed, $counter", (state) => {
    expect(() => new Random(state)).toThrow(/^Cannot make a generator because seed must be/);
  });
});

describe("Math.random under a generator", () => {
  test("draws from it, and is itself again afterwards, whatever happened", () => {
    const original = Math.random;
    const random = new Random({ seed: 3, counter: 0 });
    const drawn = withMathRandom(random, () => [Math.random(), Math.random()]);
    expect(drawn).toEqual([new Random({ seed: 3, counter: 0 }).next(), new Random({ seed: 3, counter: 1 }).next()]);
    expect(random.state).toEqual({ seed: 3, counter: 2 });
    const failing = () =>
      withMathRandom(random, () => {
        throw new Error("a step failed");
      });
    expect(failing).toThrow("a step failed");
    expect(Math.random).toBe(original);
  });
});
