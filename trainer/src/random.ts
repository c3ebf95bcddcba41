/** The whole state of a generator: which numbers it draws, and how many it has drawn. */
export type RandomState = { readonly seed: number; readonly counter: number };

/**
 * A counter-based generator (Philox 2x32 with 10 rounds: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy
 * as 1, 2, 3", SC11). The n-th number is a function of seed and n alone, so two integers restore it exactly.
 */
export class Random {
  readonly seed: number;
  #counter: number;

  constructor({ seed, counter }: RandomState) {
    if (!isSeed(seed) || !Number.isSafeInteger(counter) || counter < 0) {
      throw new RangeError(
        `Cannot make a generator because seed must be a whole number below 2^32 and counter one below 2^53: ${seed}, ${counter}.`,
      );
    }
    this.seed = seed;
    this.#counter = counter;
  }

  get state(): RandomState {
    return { seed: this.seed, counter: this.#counter };
  }

  /** The next number, uniform in [0, 1), with 53 random bits. */
  next(): number {
    const [high, low] = philox(this.#counter, this.seed);
    this.#counter += 1;
    return ((high >>> 5) * 2 ** 26 + (low >>> 6)) / 2 ** 53;
  }

  /** The next whole number, uniform in [0, bound): values that would favour small results are drawn again. */
  below(bound: number): number {
    const limit = 2 ** 32 - (2 ** 32 % bound);
    for (;;) {
      const [value] = philox(this.#counter, this.seed);
      this.#counter += 1;
      if (value < limit) return value % bound;
    }
  }
}

/** Whether `value` can be a seed: a whole number from 0 to 2^32 - 1. */
export function isSeed(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value < 2 ** 32;
}

/** A seed of its own for each use of one seed, so that data order, weights and dropout do not repeat one another. */
export function derivedSeed(seed: number, stream: number): number {
  return philox(stream, (seed ^ 0x7472_756e) >>> 0)[0];
}

/**
 * Runs `task` with `Math.random` drawing from `random`. TensorFlow.js takes the seed of every random op (dropout,
 * initializers, `randomUniform`, ...) from `Math.random` unless one is given, so this alone makes them repeatable.
 * The task is synchronous: code of others that runs between two steps draws from the real one and disturbs nothing.
 */
export function withMathRandom<Result>(random: Random, task: () => Result): Result {
  const original = Math.random;
  Math.random = () => random.next();
  try {
    return task();
  } finally {
    Math.random = original;
  }
}

/** Two 32-bit words from a 64-bit counter (a whole number below 2^53 here) and a 32-bit key. */
export function philox(counter: number, seed: number): readonly [number, number] {
  return philoxWords(counter >>> 0, Math.floor(counter / 2 ** 32) >>> 0, seed);
}

/** {@link philox} with the counter's words given: low, then high. */
export function philoxWords(low: number, high: number, seed: number): readonly [number, number] {
  let left = low;
  let right = high;
  let key = seed;
  for (let round = 0; round < 10; round += 1) {
    const upper = multiplyHigh(left, 0xd256_d193);
    const lower = Math.imul(left, 0xd256_d193) >>> 0;
    left = (upper ^ key ^ right) >>> 0;
    right = lower;
    key = (key + 0x9e37_79b9) >>> 0;
  }
  return [left, right];
}

/** The upper 32 bits of the 64-bit product, from 16-bit halves: a double holds only 53 bits exactly. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16;
  const aLow = a & 0xffff;
  const bHigh = b >>> 16;
  const bLow = b & 0xffff;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carried = aLow * bHigh + (middle % 0x1_0000);
  return (aHigh * bHigh + Math.floor(middle / 0x1_0000) + Math.floor(carried / 0x1_0000)) >>> 0;
}
