import { endStuck } from "./endings.ts";
import { uploadRate } from "./final-save-upload.ts";
import { deadlineOf, describeLeft } from "./grace.ts";
import { FinalSaveError, type HurriedSave, isFinal, type StoppedRun, saveBefore, saveLastStep } from "./last-save.ts";
import type { Place } from "./place.ts";
import type { Saved } from "./saver.ts";
import { say } from "./say.ts";
import { stop } from "./stop.ts";
import type { LoopOutcome } from "./training-loop.ts";

/** What the save of the step where training ended came to. */
export type LastSave =
  | { readonly kind: "done"; readonly saved: Saved }
  | { readonly kind: "stopped"; readonly save: HurriedSave }
  | { readonly kind: "fenced" };

/**
 * Saves where training ended. A finished run that is asked to stop meanwhile is done all the same, if that succeeds. The
 * process ends here where the last save of a finished run hangs.
 */
export async function lastSave(place: Place, outcome: LoopOutcome, run: StoppedRun): Promise<LastSave> {
  const finished = outcome === "finished";
  const saved = finished ? await saveLastStep(run, { stop: stop.signal }).catch(endIfStuck(run)) : null;
  if (saved !== null) return { kind: "done", saved };
  if (outcome === "fenced" || (finished && run.saver.fence !== null)) return { kind: "fenced" };
  const deadline = deadlineOf(stop, place.graceSeconds);
  const left = describeLeft(deadline, performance.now());
  say(`asked to stop after step ${run.step}: ${left} of ${place.graceSeconds} s left`);
  const save = await saveBefore(deadline, { ...run, uploadBytesPerSecond: uploadRate(place) });
  const { checkpoint } = save;
  return finished && isFinal(checkpoint, run) ? { kind: "done", saved: checkpoint } : { kind: "stopped", save };
}

function endIfStuck({ saver }: StoppedRun): (error: unknown) => never {
  return (error) => {
    if (error instanceof FinalSaveError && saver.inFlight !== null) return endStuck(error);
    throw error;
  };
}
