import { finalSaveSeconds } from "@trainingrun/checkpoint/contract/final-save-time.ts";

/** What is known when a stop was asked for; sizes in bytes, times in seconds. */
export type FinalSaveInput = {
  /** The last completed step. */
  readonly step: number;
  /** The newest step that a commit holds, 0 when there is none: a run without steps has nothing to lose. */
  readonly savedStep: number;
  /** Whether that commit lacks what was evaluated since at its very step. */
  readonly isOutdated?: boolean;
  readonly inFlight: { readonly step: number; readonly remainingBytes: number } | null;
  /** What one save writes. */
  readonly bytes: number;
  /** Measured by this process' own saves; null before its first one has ended. */
  readonly bytesPerSecond: number | null;
  readonly remainingSeconds: number;
};

/** How to use the time that is left; `why` is for people. */
export type FinalSavePlan = {
  readonly action:
    | "nothing to save"
    | "save"
    | "finish in-flight"
    | "finish in-flight, then save"
    | "abandon in-flight and save"
    | "give up";
  readonly why: string;
};

/** Every size fits: what the deadline cuts off is invisible to every reader, and what is not tried is lost for certain. */
const unmeasured = Number.POSITIVE_INFINITY;

/**
 * Decides what the final save does within the time that is left: lose no step if it can be had, else as few as can
 * be, and never begin a save that cannot end before the deadline. A save in flight is finished when that is sooner
 * than a new one; then a new one follows if both fit. How long a save takes is never guessed: one that nothing
 * was measured for is tried (I4).
 */
export function planFinalSave(input: FinalSaveInput): FinalSavePlan {
  const { step, savedStep, inFlight } = input;
  if (savedStep >= step && input.isOutdated !== true)
    return { action: "nothing to save", why: `step ${step} is saved already` };

  const rate = input.bytesPerSecond ?? unmeasured;
  const left = input.remainingSeconds - finalSaveSeconds.reserve;
  const fresh = finalSaveSeconds.overhead + input.bytes / rate;
  const time = (seconds: number) => (rate === unmeasured ? "an unmeasured time" : `about ${seconds.toFixed(1)} s`);
  const estimate = `a save takes ${time(fresh)}, ${Math.max(0, left).toFixed(1)} s are left`;
  if (inFlight === null) {
    if (fresh <= left) return { action: "save", why: estimate };
    return { action: "give up", why: `${estimate}; step ${savedStep} stands` };
  }

  const finish = finalSaveSeconds.overhead + inFlight.remainingBytes / rate;
  const both = `${estimate}; the save of step ${inFlight.step} takes ${time(finish)} more`;
  if (inFlight.step >= step) {
    return finish <= left ? { action: "finish in-flight", why: both } : { action: "give up", why: both };
  }
  if (finish + fresh <= left) return { action: "finish in-flight, then save", why: both };
  if (fresh <= left && fresh < finish) return { action: "abandon in-flight and save", why: both };
  if (finish <= left) return { action: "finish in-flight", why: `${both}; the steps after ${inFlight.step} are lost` };
  if (fresh <= left) return { action: "abandon in-flight and save", why: both };
  return { action: "give up", why: both };
}
