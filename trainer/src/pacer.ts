import { setImmediate as nextMacrotask, setTimeout as sleep } from "node:timers/promises";

/** What a save misses that is not copied out yet: time to copy, or room to copy into; nothing when it is. */
export type Missing = "time" | "room" | "nothing";

/** Copying out what a save needs. */
export type Draining = {
  /** On until the time is over, at least one piece where there is room for it. */
  advance(untilMs: number): Missing;
  /** Whether the writer has nothing to write until more is copied. */
  readonly isStarved: boolean;
  /** Training has waited for room so long. */
  waited(milliseconds: number): void;
};

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
  #roomCame: (() => void) | null = null;

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
    this.#roomCame?.();
    if (!this.#free || this.#turning) return;
    this.#turning = true;
    void this.#turns();
  }

  /**
   * The loop's side, after a step that took `stepMs`: signals arrive, and a save in flight goes on for a while. A stop
   * ends its waiting.
   */
  async between(stepMs: number, signal?: AbortSignal): Promise<void> {
    const untilMs = performance.now() + stepMs * share;
    // Slabs that the writer has emptied during the step arrive with a macrotask.
    await nextMacrotask();
    if (this.#draining === null) return;
    // One that has enough to write until the next step is through would not be done sooner for training's waiting.
    const mayWait = this.#draining.isStarved;
    while (this.#draining?.advance(untilMs) === "room" && mayWait) {
      if (!(await this.#roomBefore(untilMs, signal))) break;
    }
    // A signal that came meanwhile is heard before the next step, not after it.
    await nextMacrotask();
  }

  /** A pause that the script asks for: the save has the thread meanwhile. A stop ends it. */
  async pause(milliseconds: number, signal: AbortSignal): Promise<void> {
    await this.during(() => sleep(milliseconds, undefined, { signal }).catch(() => undefined));
  }

  /** Work of the script that is no step, such as an evaluation: the save has the thread whenever that work leaves it. */
  async during<Result>(work: () => Promise<Result> | Result): Promise<Result> {
    this.#free = true;
    // The work comes first: one that never leaves the thread is not to be held up by a turn of the save.
    setImmediate(() => {
      if (this.#free) this.wake();
    });
    try {
      return await work();
    } finally {
      this.#free = false;
    }
  }

  /** Training has ended: the save has the thread to itself. */
  release(): void {
    this.#free = true;
    this.wake();
  }

  async #turns(): Promise<void> {
    while (this.#free && this.#draining?.advance(performance.now() + freeTurnMs) === "time") await nextMacrotask();
    this.#turning = false;
  }

  /** Whether there was room before the time was over, or training was asked to stop. */
  async #roomBefore(untilMs: number, signal: AbortSignal | undefined): Promise<boolean> {
    const beganMs = performance.now();
    // Timers know whole milliseconds only: rounded down, since the share is a promise.
    const leftMs = Math.floor(untilMs - beganMs);
    if (leftMs < 1 || signal?.aborted === true) return false;
    const draining = this.#draining;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const giveUp = () => resolve(false);
    const timer = setTimeout(giveUp, leftMs);
    signal?.addEventListener("abort", giveUp, { once: true });
    this.#roomCame = () => resolve(true);
    const came = await promise;
    this.#roomCame = null;
    clearTimeout(timer);
    signal?.removeEventListener("abort", giveUp);
    draining?.waited(performance.now() - beganMs);
    return came;
  }
}
