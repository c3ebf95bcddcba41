import type { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import type { Place } from "./place.ts";
import type { Saved } from "./saver.ts";
import type { StopRequest } from "./stop.ts";
import { leaveRecord } from "./trainer-record.ts";

/** How far a process has come: its last completed step, and the newest commit that it knows of. */
export type Standing = { readonly attempt: number; readonly step: number; readonly saved: Saved | null };

/**
 * Leaves a `preempted` record the moment a stop is heard, which says what stands if nothing more can be done: the node
 * may kill this process in the middle of an evaluation or of the last save. A process that ends in time replaces it.
 */
export function leaveRecordOnStop(
  place: Place,
  { signal }: Pick<StopRequest, "signal">,
  standing: () => Standing,
): void {
  const leave = () => leaveRecord(place, provisionalRecord(standing()));
  if (signal.aborted) leave();
  else signal.addEventListener("abort", leave, { once: true });
}

/** What is true of a process that is killed now; the grace period it will have used is not known yet. */
export function provisionalRecord({ attempt, step, saved }: Standing): TrainerRecord {
  const holdsStep = saved !== null && saved.step === step;
  return {
    kind: "preempted",
    attempt,
    step,
    finalCheckpoint: holdsStep ? "Saved" : step === 0 ? "NotAttempted" : "TimedOut",
    checkpoint: holdsStep ? saved.digest : null,
    graceUsedSeconds: 0,
  };
}
