import { holdsNonFinite } from "../health.ts";
import type { TensorLayout } from "./protocol.ts";

/** Part of a slab that the training thread has filled. */
export type Filled = { readonly slab: number; readonly bytes: Uint8Array };

/**
 * The values of a save's tensors as they arrive in slabs, handed out tensor by tensor in the order in which they were
 * filled in. A slab goes back as soon as its last byte has been used. Looks through them for NaN and infinity on the way.
 */
export class ArrivingTensors {
  /** Names of the tensors so far that hold NaN or infinity. */
  readonly nonFinite: string[] = [];
  /** Time spent waiting for values. */
  waitedMs = 0;
  readonly #giveBack: (slab: number) => void;
  readonly #signal: AbortSignal;
  readonly #queue: Filled[] = [];
  #present: Filled | null = null;
  #wake: (() => void) | null = null;

  constructor({ giveBack, signal }: { giveBack: (slab: number) => void; signal: AbortSignal }) {
    this.#giveBack = giveBack;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#wake?.(), { once: true });
  }

  /** Takes the next filled slab in. */
  push(filled: Filled): void {
    this.#queue.push(filled);
    this.#wake?.();
  }

  /** Gives back every slab that was not used. */
  close(): void {
    for (const { slab } of [...(this.#present === null ? [] : [this.#present]), ...this.#queue]) this.#giveBack(slab);
    this.#present = null;
    this.#queue.length = 0;
  }

  /** The bytes of the next tensor. A piece is valid until the next is asked for. */
  async *take({ name, dtype }: Pick<TensorLayout, "name" | "dtype">, bytes: number): AsyncGenerator<Uint8Array> {
    let suspect = false;
    for (let left = bytes; left > 0; ) {
      const { slab, bytes: present } = this.#present ?? (await this.#next());
      const piece = present.subarray(0, left);
      suspect ||= holdsNonFinite({ dtype }, piece);
      left -= piece.byteLength;
      const rest = present.subarray(piece.byteLength);
      this.#present = { slab, bytes: rest };
      yield piece;
      if (rest.byteLength > 0) continue;
      this.#present = null;
      this.#giveBack(slab);
    }
    if (suspect) this.nonFinite.push(name);
  }

  async #next(): Promise<Filled> {
    const began = performance.now();
    try {
      for (;;) {
        this.#signal.throwIfAborted();
        const next = this.#queue.shift();
        if (next !== undefined) return next;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.#wake = null;
      this.waitedMs += performance.now() - began;
    }
  }
}
