import { setImmediate as nextMacrotask, setTimeout as sleep } from "node:timers/promises";

/**
 * Shares the one thread between training and a save. The save asks for its turn before each piece of work that holds
 * the thread; the loop gives it a little time after each step, and all of it once training has ended.
 */
export class Pacer {
  #freeUntilMs = Number.NEGATIVE_INFINITY;
  #waiting: (() => void)[] = [];
  #trainingMs = 0;

  /** Milliseconds that training itself has taken so far. */
  get trainingMs(): number {
    return this.#trainingMs;
  }

  /** The save's side: resolves when it may go on. */
  async turn(): Promise<void> {
    if (performance.now() < this.#freeUntilMs) return;
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** The loop's side, after a step that took `stepMs`: signals arrive, and a save in flight goes on for a while. */
  async between(stepMs: number, saving: () => boolean): Promise<void> {
    this.#trainingMs += stepMs;
    if (!saving()) {
      await nextMacrotask();
      return;
    }
    this.#freeUntilMs = performance.now() + Math.max(minShareMs, stepMs * share);
    this.#wake();
    do await nextMacrotask();
    while (saving() && performance.now() < this.#freeUntilMs);
    this.#freeUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** A pause that the script asks for: the save has the thread meanwhile. A stop ends it. */
  async pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    this.release();
    await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
    this.#freeUntilMs = Number.NEGATIVE_INFINITY;
  }

  /** Training has ended: the save has the thread to itself. */
  release(): void {
    this.#freeUntilMs = Number.POSITIVE_INFINITY;
    this.#wake();
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}

/** What a save may take of a step's time: enough that it ends, little enough that training hardly notices. */
const share = 0.1;
const minShareMs = 2;
