import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { isFinishing, toldFinalSavePatienceSeconds } from "@trainingrun/checkpoint/contract/save-patience.ts";

/** A trainer that stands still: the last step it did, for how long nobody has seen another, and what has not come. */
export type Standstill = Readonly<{ step: number; seconds: number; expects: "Step" | "End" }>;

/** The watch looks once a second. What passes between two looks beyond this, both were frozen for, or the machine was. */
const longestBetweenMs = 10_000;
/**
 * An evaluation says nothing before it is through, and one over all data may take many times as long as a step. A training
 * that has done all its steps has more to lose by being ended too soon than an hour of its device.
 */
const lastEvaluationSeconds = 3_600;

/**
 * Tells a trainer that does no step any more, from its own first report on. It counts on the monotonic clock, and only
 * the time in which it looked itself: a pod that was frozen and goes on has not stalled. No report, or one that cannot be
 * read, is no news, good or bad. After its last step a trainer evaluates, for an hour at least, and then saves until its
 * patience is over, which begins anew as long as the save moves; for each of them it may take the time of a step beside. One
 * that does not tell of its phases has nothing left to do.
 *
 *     no report ─► counting ─► stands still, after what its phase may take
 *                  ▲  │ a new step; after the last one a new phase, or a save that moves │
 *                  └──┴──────────────────────────────────────────────────────────────────┘
 */
export class StallWatch {
  readonly #timeoutSeconds: number;
  #last: Progress | null = null;
  /** Since the last step, and since anything was heard of that brings the end of the training nearer. */
  #sinceStepMs = 0;
  #sinceNewsMs = 0;
  #lookedAtMs = 0;

  constructor(timeoutSeconds: number) {
    this.#timeoutSeconds = timeoutSeconds;
  }

  /** Takes in the newest report there is; null while steps are done, or may still be. */
  look(progress: Progress | null, nowMs: number): Standstill | null {
    const passedMs = Math.min(Math.max(0, nowMs - this.#lookedAtMs), longestBetweenMs);
    this.#lookedAtMs = nowMs;
    const isNewStep = progress !== null && progress.step !== this.#last?.step;
    const isNews = progress !== null && newsIn(progress) !== (this.#last === null ? null : newsIn(this.#last));
    this.#sinceStepMs = isNewStep ? 0 : this.#sinceStepMs + passedMs;
    this.#sinceNewsMs = isNews ? 0 : this.#sinceNewsMs + passedMs;
    this.#last = progress ?? this.#last;
    if (this.#last === null) return null;
    const expected = expectedAfter(this.#last, this.#timeoutSeconds);
    const standsMs = expected?.expects === "Step" ? this.#sinceStepMs : this.#sinceNewsMs;
    if (expected === null || standsMs < expected.withinSeconds * 1000) return null;
    return { step: this.#last.step, seconds: Math.floor(this.#sinceStepMs / 1000), expects: expected.expects };
  }
}

/** What changes in a report as long as the training comes nearer to its end. */
function newsIn({ step, phase, saves: { committed, inFlight } }: Progress): string {
  return [step, phase, committed, inFlight?.step, inFlight?.movedSeconds].join(" ");
}

/** What is to come after this report, and by when; null where nothing is. */
function expectedAfter(
  progress: Progress,
  timeoutSeconds: number,
): { expects: Standstill["expects"]; withinSeconds: number } | null {
  const { phase } = progress;
  if (!isFinishing(progress)) return { expects: "Step", withinSeconds: timeoutSeconds };
  if (phase === undefined) return null;
  const besideSeconds = phase === "Finishing" ? timeoutSeconds : Math.max(timeoutSeconds, lastEvaluationSeconds);
  return { expects: "End", withinSeconds: besideSeconds + toldFinalSavePatienceSeconds(progress) };
}
