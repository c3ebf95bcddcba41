import { setImmediate as nextMacrotask, setTimeout as sleep } from "node:timers/promises";

/** Copying out what a save needs: on until the time is over; true if it is worth coming back at once. */
export type Draining = { advance(untilMs: number): boolean };

/** What a save may take of a step's time: enough that it ends, little enough that training hardly notices. */
const share = 0.05;
/** Between two looks at signals and messages while training does not need the thread. */
const freeTurnMs = 10;

/**
 * Shares the one thread between training and the copying that a save asks for: a little after each step, and all of
 * the time once training has ended.
 */
export class Pacer {
  #draining: Draining | null = null;
  #free = false;
  #turning = false;

  /** Whether training needs the thread no more, or not now. */
  get isFree(): boolean {
    return this.#free;
  }

  /** The save's side: takes what is to be copied out; null when that has ended. */
  attend(draining: Draining | null): void {
    this.#draining = draining;
    this.wake();
  }

  /** The save's side: there is room to copy into again. */
  wake(): void {
    if (!this.#free || this.#turning) return;
    this.#turning = true;
    void this.#turns();
  }

  /** The loop's side, after a step that took `stepMs`: signals arrive, and a save in flight goes on for a while. */
  async between(stepMs: number): Promise<void> {
    const untilMs = performance.now() + stepMs * share;
    // Slabs that the writer has emptied meanwhile arrive with a macrotask.
    let goesOn = true;
    while (goesOn) {
      goesOn = this.#draining?.advance(untilMs) === true;
      await nextMacrotask();
      goesOn &&= performance.now() < untilMs;
    }
  }

  /** A pause that the script asks for: the save has the thread meanwhile. A stop ends it. */
  async pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    this.release();
    await sleep(milliseconds, undefined, { signal }).catch(() => undefined);
    this.#free = false;
  }

  /** Training has ended: the save has the thread to itself. */
  release(): void {
    this.#free = true;
    this.wake();
  }

  async #turns(): Promise<void> {
    while (this.#free && this.#draining?.advance(performance.now() + freeTurnMs) === true) await nextMacrotask();
    this.#turning = false;
  }
}
