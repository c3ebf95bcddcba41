import type { HeldTensor } from "../learner.ts";
import type { Missing } from "../pacer.ts";
import type { Slab } from "./writer-link.ts";

/** Where values go: empty slabs to take, filled ones to send. */
export type Slabs = {
  take(): Slab | null;
  send(slab: Slab, bytes: number): void;
  putBack(slab: Slab): void;
};

/** A piece is copied in about a tenth of a millisecond: that is how exactly a budget is kept to. */
const pieceBytes = 2 ** 18;

/**
 * Copies the values of a snapshot into slabs, a little at a time, and lets go of each tensor as soon as it is copied:
 * old values that training has replaced take memory until then.
 */
export class Drain {
  readonly #slabs: Slabs;
  /** What is left, first to last; a file's last tensor closes its slab. */
  readonly #left: { readonly tensor: HeldTensor; readonly endsFile: boolean }[];
  #copied = 0;
  #slab: Slab | null = null;
  #filled = 0;

  /** `files` are tensors in the order in which the files hold them. */
  constructor(files: readonly (readonly HeldTensor[])[], slabs: Slabs) {
    this.#slabs = slabs;
    this.#left = files
      .flatMap((tensors) => tensors.map((tensor, at) => ({ tensor, endsFile: at === tensors.length - 1 })))
      .toReversed();
  }

  /** Copies until the time is over, at least one piece where there is a slab for it; says what the rest misses. */
  advance(untilMs: number): Missing {
    while (this.#left.length > 0) {
      if (!this.#copyPiece()) return "room";
      if (performance.now() >= untilMs) break;
    }
    return this.#left.length > 0 ? "time" : "nothing";
  }

  /** Lets go of everything that is left. */
  stop(): void {
    for (const { tensor } of this.#left) tensor.release();
    this.#left.length = 0;
    if (this.#slab !== null) this.#slabs.putBack(this.#slab);
    this.#slab = null;
  }

  /** False where every slab is with the writer. */
  #copyPiece(): boolean {
    const next = this.#left.at(-1);
    if (next === undefined) return false;
    const { tensor, endsFile } = next;
    this.#slab ??= this.#slabs.take();
    if (this.#slab === null) return false;
    const room = Math.min(pieceBytes, this.#slab.bytes.byteLength - this.#filled);
    const bytes = Math.min(room, tensor.bytes - this.#copied);
    if (bytes > 0) tensor.copyTo(this.#slab.bytes.subarray(this.#filled, this.#filled + bytes), this.#copied);
    this.#filled += bytes;
    this.#copied += bytes;
    const ended = this.#copied === tensor.bytes;
    if (ended) {
      tensor.release();
      this.#left.pop();
      this.#copied = 0;
    }
    if (this.#filled === this.#slab.bytes.byteLength || (ended && endsFile)) this.#send(this.#slab);
    return true;
  }

  #send(slab: Slab): void {
    if (this.#filled === 0) this.#slabs.putBack(slab);
    else this.#slabs.send(slab, this.#filled);
    this.#slab = null;
    this.#filled = 0;
  }
}
