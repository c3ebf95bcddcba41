import { hold } from "../../buffer-pool.ts";

const mebibyte = 1024 * 1024;
/** A larger part is copied: one that waits for its last pieces must not hold all the memory that those could come to. */
const mostHeldBytes = 16 * mebibyte;

/**
 * One part of an object while it is filled and sent: pieces of memory that can be held are sent from where they are, and
 * what comes in other memory is copied.
 */
export class Part {
  readonly #bytes: number;
  readonly #free: Uint8Array[];
  readonly #held: Uint8Array[] = [];
  readonly #releases: (() => void)[] = [];
  #memory: Uint8Array | null = null;
  #copied = 0;

  /** At most `bytes`; `free` is memory of that size to copy to, which the part gives back to it. */
  constructor(bytes: number, free: Uint8Array[]) {
    this.#bytes = bytes;
    this.#free = free;
  }

  get filled(): number {
    return this.#held.reduce((sum, piece) => sum + piece.byteLength, this.#copied);
  }

  get isFull(): boolean {
    return this.filled === this.#bytes;
  }

  /** What it holds, in order, until it is released. */
  get pieces(): readonly Uint8Array[] {
    return this.#memory === null ? this.#held : [...this.#held, this.#memory.subarray(0, this.#copied)];
  }

  /** Takes as many of the bytes as it has room for, and says how many. */
  take(bytes: Uint8Array): number {
    const some = bytes.subarray(0, this.#bytes - this.filled);
    const release = this.#memory === null && this.#bytes <= mostHeldBytes ? hold(some) : null;
    if (release === null) {
      this.#memory ??= this.#free.pop() ?? new Uint8Array(this.#bytes);
      this.#memory.set(some, this.#copied);
      this.#copied += some.byteLength;
    } else {
      this.#held.push(some);
      this.#releases.push(release);
    }
    return some.byteLength;
  }

  /** Says that nobody reads its bytes any more. */
  release(): void {
    for (const release of this.#releases.splice(0)) release();
    this.#held.length = 0;
    if (this.#memory !== null) this.#free.push(this.#memory);
    this.#memory = null;
    this.#copied = 0;
  }
}
