/**
 * Random numbers that hang on what they are drawn for and not on when: the seed, a stream ("uuid", "noise"), a key within
 * it (a process, a file, a fault) and the ordinal under that key. A fault that is taken out of a plan therefore changes
 * no other draw, which is what makes a plan shrinkable.
 */
export class Chance {
  readonly #lanes: Lanes;

  constructor(seed: number | string) {
    this.#lanes = withText(start, String(seed));
  }

  /** A number in [0, 1), the same for the same seed, stream, key and ordinal on every machine. */
  draw(stream: string, key: string, ordinal: number): number {
    return fraction(withNumber(this.#keyed(stream, key), ordinal));
  }

  /** The draws under one key one after the other, counted by the row itself; each call begins a new one at 0. */
  row(stream: string, key: string): Row {
    return new Row(this.#keyed(stream, key));
  }

  #keyed(stream: string, key: string): Lanes {
    return withText(withText(this.#lanes, stream), key);
  }
}

/** Consecutive draws under one key. */
export class Row {
  readonly #lanes: Lanes;
  #ordinal = 0;

  constructor(lanes: Lanes) {
    this.#lanes = lanes;
  }

  /** The next number in [0, 1). */
  next(): number {
    const drawn = this.at(this.#ordinal);
    this.#ordinal += 1;
    return drawn;
  }

  /** The number under an ordinal, whatever was drawn before. */
  at(ordinal: number): number {
    return fraction(withNumber(this.#lanes, ordinal));
  }

  /** The next whole number from 0 up to, not including, `bound`. */
  below(bound: number): number {
    return Math.floor(this.next() * bound);
  }

  /** True with the given probability. */
  hits(probability: number): boolean {
    return this.next() < probability;
  }

  /** The next bytes; four of them a draw. */
  bytes(count: number): Buffer {
    const bytes = Buffer.alloc(Math.ceil(count / 4) * 4);
    for (let at = 0; at < bytes.length; at += 4) bytes.writeUInt32LE(Math.floor(this.next() * 2 ** 32), at);
    return bytes.subarray(0, count);
  }

  /** The next UUID, in the form of version 4. */
  uuid(): `${string}-${string}-${string}-${string}-${string}` {
    const bytes = this.bytes(16);
    bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6);
    bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
    const hex = bytes.toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  }
}

/** Two independent 32-bit hashes of what was taken in so far. */
export type Lanes = Readonly<{ a: number; b: number }>;

/** The hash of nothing. */
export const start: Lanes = { a: 0x243f6a88, b: 0x13198a2e };

/** Takes in a text and its end, so that "ab" + "c" is not "a" + "bc". */
export function withText(lanes: Lanes, text: string): Lanes {
  const taken = new RunningHash(lanes);
  taken.text(text);
  return taken;
}

/** Takes in a number: its whole part of up to 53 bits and the first 32 bits behind the point. */
export function withNumber(lanes: Lanes, value: number): Lanes {
  const taken = new RunningHash(lanes);
  taken.number(value);
  return taken;
}

/** A hash that goes on with each thing that it takes in, as {@link withText} and {@link withNumber} would. */
export class RunningHash implements Lanes {
  a: number;
  b: number;

  constructor({ a, b }: Lanes) {
    this.a = a;
    this.b = b;
  }

  text(text: string): void {
    let { a, b } = this;
    for (let at = 0; at < text.length; at += 1) {
      const unit = text.charCodeAt(at);
      a = Math.imul(a ^ unit, 0x01000193);
      b = Math.imul(b ^ unit ^ (b >>> 15), 0x5bd1e995);
    }
    this.a = Math.imul(a ^ 0x1_0000, 0x01000193);
    this.b = Math.imul(b ^ 0x1_0000 ^ (b >>> 15), 0x5bd1e995);
  }

  number(value: number): void {
    const whole = Math.floor(value);
    const low = whole | 0;
    const high = Math.floor(whole / 2 ** 32) ^ Math.floor((value - whole) * 2 ** 32);
    this.a = Math.imul(mixed(this.a ^ low), 0x01000193) ^ high;
    this.b = Math.imul(mixed(this.b ^ high), 0x5bd1e995) ^ low;
  }
}

/** 53 bits of a hash as a number in [0, 1). */
export function fraction({ a, b }: Lanes): number {
  const high = mixed(a ^ mixed(b));
  const low = mixed(b ^ Math.imul(high, 0x9e3779b1));
  return ((high >>> 0) * 2 ** 21 + (low >>> 11)) / 2 ** 53;
}

/** Spreads every bit of a 32-bit number over all others. */
function mixed(value: number): number {
  let bits = value ^ (value >>> 16);
  bits = Math.imul(bits, 0x85ebca6b);
  bits ^= bits >>> 13;
  bits = Math.imul(bits, 0xc2b2ae35);
  return bits ^ (bits >>> 16);
}
