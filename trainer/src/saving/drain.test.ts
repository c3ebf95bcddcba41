import { describe, expect, test } from "vitest";
import type { HeldTensor } from "../learner.ts";
import { Drain, type Slabs } from "./drain.ts";
import type { Slab } from "./writer-link.ts";

/** Slabs of so many bytes, and what was sent in them; `returned` puts one back as a writer does. */
class TestSlabs implements Slabs {
  readonly sent: number[][] = [];
  #empty: Slab[];
  #out: Slab[] = [];

  constructor({ count, bytes }: { count: number; bytes: number }) {
    this.#empty = Array.from({ length: count }, (_, index) => ({ index, bytes: new Uint8Array(bytes) }));
  }

  get empty(): number {
    return this.#empty.length;
  }

  take(): Slab | null {
    return this.#empty.shift() ?? null;
  }

  send(slab: Slab, bytes: number): void {
    this.sent.push([...slab.bytes.subarray(0, bytes)]);
    this.#out.push(slab);
  }

  putBack(slab: Slab): void {
    this.#empty.push(slab);
  }

  returned(): void {
    this.#empty.push(...this.#out.splice(0, 1));
  }
}

/** A tensor of these bytes; `released` says how often it was let go of. */
function tensor(...bytes: number[]): HeldTensor & { released: number } {
  const values = Uint8Array.from(bytes);
  return {
    name: `tensor-${bytes[0]}`,
    dtype: "BOOL",
    shape: [bytes.length],
    bytes: bytes.length,
    released: 0,
    read: () => values,
    copyTo: (target, from) => target.set(values.subarray(from, from + target.byteLength)),
    release() {
      this.released += 1;
    },
  };
}

const longAgo = Number.NEGATIVE_INFINITY;
const never = Number.POSITIVE_INFINITY;

describe("a drain", () => {
  test("fills slabs to the brim, and begins each file in a new one", () => {
    const slabs = new TestSlabs({ count: 9, bytes: 4 });
    const drain = new Drain([[tensor(1, 1, 1), tensor(2, 2, 2)], [], [tensor(), tensor(3)]], slabs);
    expect(drain.advance(never)).toBe("nothing");
    expect(slabs.sent).toEqual([[1, 1, 1, 2], [2, 2], [3]]);
    expect(slabs.empty).toBe(6);
  });

  test("copies at least one piece, however little time there is, and no more", () => {
    const slabs = new TestSlabs({ count: 9, bytes: 4 });
    const drain = new Drain([[tensor(1), tensor(2), tensor(3)]], slabs);
    expect([drain.advance(longAgo), drain.advance(longAgo), drain.advance(longAgo)]).toEqual([
      "time",
      "time",
      "nothing",
    ]);
    expect(slabs.sent).toEqual([[1, 2, 3]]);
  });

  test("misses room where the writer has every slab, and goes on in the middle of a tensor", () => {
    const slabs = new TestSlabs({ count: 1, bytes: 2 });
    const drain = new Drain([[tensor(1, 2, 3)]], slabs);
    expect(drain.advance(never)).toBe("room");
    expect(drain.advance(never)).toBe("room");
    expect(slabs.sent).toEqual([[1, 2]]);
    slabs.returned();
    drain.advance(never);
    expect(slabs.sent).toEqual([[1, 2], [3]]);
  });

  test("lets go of each tensor as soon as it is copied", () => {
    const [first, second] = [tensor(1), tensor(2)];
    const drain = new Drain([[first, second]], new TestSlabs({ count: 1, bytes: 4 }));
    drain.advance(longAgo);
    expect([first.released, second.released]).toEqual([1, 0]);
  });

  test("that is stopped lets go of everything and sends nothing more", () => {
    const slabs = new TestSlabs({ count: 1, bytes: 4 });
    const tensors = [tensor(1), tensor(2)];
    const drain = new Drain([tensors], slabs);
    drain.advance(longAgo);
    drain.stop();
    expect(drain.advance(never)).toBe("nothing");
    expect(tensors.map(({ released }) => released)).toEqual([1, 1]);
    expect([slabs.sent, slabs.empty]).toEqual([[], 1]);
  });
});
