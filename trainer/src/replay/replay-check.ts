import type { ReplayVerdict } from "@trainingrun/checkpoint/contract/resume.ts";
import { lossOf, type ReplayStep } from "./replay-step.ts";

/**
 * Two losses of a step may differ by this share of the larger and still be called the same but for rounding. Other
 * kernels, threads or devices add the same numbers in another order, which over a few steps comes to a millionth or so;
 * another batch order or other random numbers come to a percent or more.
 */
export const lossTolerance = 1e-3;

type Recorded = {
  readonly asked: number;
  readonly recorded: readonly ReplayStep[];
  readonly unreadable?: string | null;
};

/**
 * Compares steps that are computed again with what is on record of them. The verdict is one of what has been compared
 * so far; one that says `Differs` stays.
 */
export class ReplayCheck {
  readonly #asked: number;
  readonly #recorded: readonly ReplayStep[];
  readonly #unreadable: string | null;
  #compared = 0;
  #firstDifference: number | null = null;
  #largestDifference = 0;

  /** `recorded` are the steps after the checkpoint, one after the other; `unreadable` says why there may be more. */
  constructor({ asked, recorded, unreadable = null }: Recorded) {
    this.#asked = asked;
    this.#recorded = recorded;
    this.#unreadable = unreadable;
  }

  get isDone(): boolean {
    return this.#compared === this.#recorded.length;
  }

  /** Whether this step is the next one on record. */
  wants(step: number): boolean {
    return this.#recorded[this.#compared]?.step === step;
  }

  /** Takes the recomputed step in, if it is wanted. */
  take(again: ReplayStep): void {
    const record = this.#recorded[this.#compared];
    if (record?.step !== again.step) return;
    this.#compared += 1;
    if (record.loss !== again.loss || record.weights !== again.weights) this.#firstDifference ??= again.step;
    const difference = relativeDifference(record.loss, again.loss);
    this.#largestDifference = Math.max(this.#largestDifference, difference);
  }

  get verdict(): ReplayVerdict {
    return {
      asked: this.#asked,
      recorded: this.#recorded.length,
      compared: this.#compared,
      result: this.#result(),
      ...(this.#unreadable === null ? {} : { unreadable: this.#unreadable }),
      ...(this.#firstDifference === null
        ? {}
        : { firstDifference: this.#firstDifference, largestDifference: decimal(this.#largestDifference) }),
      tolerance: decimal(lossTolerance),
    };
  }

  #result(): ReplayVerdict["result"] {
    if (this.#recorded.length === 0) return "NothingRecorded";
    if (this.#compared === 0) return "Pending";
    if (this.#largestDifference > lossTolerance) return "Differs";
    if (this.#firstDifference === null) return "BitExact";
    if (!this.#isUnjudged()) return "WithinTolerance";
    // Other weights after the last step on record: nothing on record says that they are nearly the same.
    return this.isDone ? "Differs" : "Pending";
  }

  /** The weights became other bits in the newest step, and no loss has been computed from them yet. */
  #isUnjudged(): boolean {
    return this.#largestDifference === 0 && this.#firstDifference === this.#recorded[this.#compared - 1]?.step;
  }
}

/** A verdict in words, for the log. */
export function describeReplay(verdict: ReplayVerdict): string {
  const { asked, recorded, compared, unreadable, firstDifference, largestDifference, tolerance } = verdict;
  const steps = `${compared} of ${recorded} recorded steps compared (${asked} asked for)`;
  const apart = `other bits from step ${firstDifference} on, losses apart by up to ${largestDifference} of their size`;
  switch (verdict.result) {
    case "NothingRecorded":
      return unreadable === undefined
        ? `none of the ${asked} steps after the checkpoint is on record, so none can be compared`
        : `the record of the ${asked} steps after the checkpoint cannot be read, so none can be compared: ${unreadable}`;
    case "Pending":
      return `no verdict yet: ${steps}`;
    case "BitExact":
      return `bit-exact: ${steps}, loss and weights the same to the last bit`;
    case "WithinTolerance":
      return `within the tolerance of ${tolerance}: ${steps}, ${apart}`;
    case "Differs":
      return `differs at step ${firstDifference}: ${steps}, ${apart} (tolerance ${tolerance})`;
    default:
      return verdict.result satisfies never;
  }
}

function relativeDifference(before: string, again: string): number {
  if (before === again) return 0;
  const [a, b] = [lossOf(before), lossOf(again)];
  if (a === b) return 0;
  if (!Number.isFinite(a) || !Number.isFinite(b)) return Number.POSITIVE_INFINITY;
  return Math.abs(a - b) / Math.max(Math.abs(a), Math.abs(b));
}

function decimal(value: number): string {
  return String(Number(value.toPrecision(3)));
}
