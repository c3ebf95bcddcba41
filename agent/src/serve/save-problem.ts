import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import {
  idleSecondsOf,
  type KnownOfSave,
  savePatienceSeconds,
  stuckAfterSeconds,
  type TimeOfSave,
} from "@trainingrun/checkpoint/contract/save-patience.ts";
import type { Problem } from "./knowledge.ts";

/**
 * The problem of a save that does not end, by what the trainer itself tells; null while none is going on, or while it
 * moves and is not slower than any volume should be. No other save is begun meanwhile, so that a kill takes ever more steps
 * (I4). It needs no look at the volume, which may hang for this process as well, and its words stay the same for as long as
 * it hangs.
 */
export function saveProblem(progress: Progress | null): Problem | null {
  const inFlight = progress?.saves.inFlight;
  if (progress === null || inFlight === undefined) return null;
  const { committed, lastSeconds } = progress.saves;
  const seen = seenOf(inFlight, { committed, lastSeconds, bytes: inFlight.bytes });
  if (seen === null) return null;
  const usual = committed > 0 ? `; the last one took ${Number(lastSeconds.toPrecision(2))} s` : "";
  const what = `The save of step ${inFlight.step} has not ended${seen}${usual}.`;
  const meanwhile =
    "No other is begun until it ends or is given up, and whatever was trained since the last commit would be lost with the pod.";
  return { reason: "SaveStuck", message: `${what} ${meanwhile}` };
}

function seenOf(inFlight: TimeOfSave, save: KnownOfSave): string | null {
  const [slowest, still] = [savePatienceSeconds(save), stuckAfterSeconds(save)];
  if (idleSecondsOf(inFlight) >= still) return `, and nothing of it has moved for ${still} s`;
  return inFlight.seconds >= slowest ? ` in ${slowest} s` : null;
}
