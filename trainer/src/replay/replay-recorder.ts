import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { ReplayHeading, ReplayStep } from "./replay-step.ts";

/** A checkpoint that steps follow on. */
export type Followed = { readonly step: number; readonly digest: Digest };

/** Where recorded steps go. Must not throw, nor wait. */
export type ReplaySink = {
  begin(heading: ReplayHeading): void;
  add(step: ReplayStep): void;
};

type Parts = {
  /** How many steps after each checkpoint are recorded. */
  readonly steps: number;
  readonly attempt: number;
  readonly sink: ReplaySink;
};

/**
 * Decides which steps are recorded, and after which checkpoint. A step that follows on a save in flight waits for that
 * save's end: only then does its checkpoint have a digest, or it turns out that there is none and the step follows on
 * the one before. So a record never speaks of a checkpoint that the log does not hold.
 */
export class ReplayRecorder {
  readonly #parts: Parts;
  /** Checkpoints of this trajectory that waiting steps can follow on, oldest first. */
  #commits: Followed[] = [];
  #waiting: ReplayStep[] = [];
  #begun: Followed | null = null;

  constructor(parts: Parts, base: Followed | null) {
    this.#parts = parts;
    if (base !== null) this.#commits.push(base);
  }

  /** A checkpoint of this attempt stands in the log. */
  committed(checkpoint: Followed): void {
    this.#commits.push(checkpoint);
  }

  /** Whether the step lies so close behind a checkpoint, or the one of `savingStep` that is being saved, that it is recorded. */
  wants(step: number, savingStep: number | null): boolean {
    const newest = savingStep ?? this.#commits.at(-1)?.step ?? null;
    return newest !== null && step > newest && step <= newest + this.#parts.steps;
  }

  /** Takes a step that was just computed, and is wanted. */
  take(step: ReplayStep): void {
    this.#waiting.push(step);
  }

  /** Passes on the steps whose checkpoint is known by now; called after every step, wanted or not. */
  settle(savingStep: number | null): void {
    const isSettled = ({ step }: ReplayStep) => savingStep === null || step <= savingStep;
    for (const settled of this.#waiting.filter(isSettled)) this.#pass(settled);
    this.#waiting = this.#waiting.filter((each) => !isSettled(each));
    // What still waits follows on the save in flight, or on the newest commit should that fail.
    this.#commits = this.#commits.slice(-1);
  }

  #pass(step: ReplayStep): void {
    const { attempt, steps, sink } = this.#parts;
    const followed = this.#commits.findLast((commit) => commit.step < step.step);
    if (followed === undefined || step.step > followed.step + steps) return;
    if (this.#begun !== followed) {
      this.#begun = followed;
      sink.begin({ version: 1, checkpoint: followed.digest, step: followed.step, attempt });
    }
    sink.add(step);
  }
}
