import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { finalSavePatienceSeconds } from "@trainingrun/checkpoint/contract/save-patience.ts";

/** A trainer that stands still: the last step it did, for how long nobody has seen another, and what has not come. */
export type Standstill = Readonly<{ step: number; seconds: number; expects: "Step" | "End" }>;

/** The watch looks once a second. What passes between two looks beyond this, both were frozen for, or the machine was. */
const longestBetweenMs = 10_000;

/**
 * Tells a trainer that does no step any more, from its own first report on. It counts on the monotonic clock, and only
 * the time in which it looked itself: a pod that was frozen and goes on has not stalled. No report, or one that cannot be
 * read, is no news, good or bad. After its last step a trainer evaluates, for as long as a step may take, and saves until
 * its patience is over; one that does not tell of its phases has nothing left to do.
 *
 *     no report ─► counting ─► stands still, after `timeoutSeconds`, and the patience of the final save after the last step
 *                  ▲  │ a new step     │
 *                  └──┴────────────────┘
 */
export class StallWatch {
  readonly #timeoutSeconds: number;
  #last: Progress | null = null;
  #standsMs = 0;
  #lookedAtMs = 0;

  constructor(timeoutSeconds: number) {
    this.#timeoutSeconds = timeoutSeconds;
  }

  /** Takes in the newest report there is; null while steps are done, or may still be. */
  look(progress: Progress | null, nowMs: number): Standstill | null {
    const passedMs = Math.min(Math.max(0, nowMs - this.#lookedAtMs), longestBetweenMs);
    this.#lookedAtMs = nowMs;
    if (progress !== null && progress.step !== this.#last?.step) this.#standsMs = 0;
    else this.#standsMs += passedMs;
    this.#last = progress ?? this.#last;
    if (this.#last === null) return null;
    const expected = expectedAfter(this.#last, this.#timeoutSeconds);
    if (expected === null || this.#standsMs < expected.withinSeconds * 1000) return null;
    return { step: this.#last.step, seconds: Math.floor(this.#standsMs / 1000), expects: expected.expects };
  }
}

/** What is to come after this report, and by when; null where nothing is. */
function expectedAfter(
  { step, targetStep, phase, saves }: Progress,
  timeoutSeconds: number,
): { expects: Standstill["expects"]; withinSeconds: number } | null {
  if (step < targetStep && phase !== "Finishing") return { expects: "Step", withinSeconds: timeoutSeconds };
  if (phase === undefined) return null;
  const bytes = saves.inFlight?.bytes ?? saves.lastBytes;
  return { expects: "End", withinSeconds: timeoutSeconds + finalSavePatienceSeconds({ ...saves, bytes }) };
}
