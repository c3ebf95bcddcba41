import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";

/** A trainer that stands still: the last step it did, and for how long nobody has seen another. */
export type Standstill = Readonly<{ step: number; seconds: number }>;

/** The watch looks once a second. What passes between two looks beyond this, both were frozen for, or the machine was. */
const longestBetweenMs = 10_000;

/**
 * Tells a trainer that does no step any more, from its own first report on. It counts on the monotonic clock, and only
 * the time in which it looked itself: a pod that was frozen and goes on has not stalled. No report, or one that cannot be
 * read, is no news, good or bad. A trainer that has done its last step has none left to do.
 *
 *     no report ─► counting ─► stands still, after `timeoutSeconds`
 *                  ▲  │ a new step     │
 *                  └──┴────────────────┘
 */
export class StallWatch {
  readonly #timeoutMs: number;
  #step: number | null = null;
  #isThrough = false;
  #standsMs = 0;
  #lookedAtMs = 0;

  constructor(timeoutSeconds: number) {
    this.#timeoutMs = timeoutSeconds * 1000;
  }

  /** Takes in the newest report there is; null while steps are done, or may still be. */
  look(progress: Progress | null, nowMs: number): Standstill | null {
    const passedMs = Math.min(Math.max(0, nowMs - this.#lookedAtMs), longestBetweenMs);
    this.#lookedAtMs = nowMs;
    if (progress !== null && progress.step !== this.#step) {
      this.#step = progress.step;
      this.#standsMs = 0;
    } else this.#standsMs += passedMs;
    if (progress !== null) this.#isThrough = progress.step >= progress.targetStep;
    if (this.#step === null || this.#isThrough) return null;
    return this.#standsMs < this.#timeoutMs ? null : { step: this.#step, seconds: Math.floor(this.#standsMs / 1000) };
  }
}
