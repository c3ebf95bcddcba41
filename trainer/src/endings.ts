import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { finishRun } from "@trainingrun/checkpoint/finish.ts";
import type { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { exitCodes } from "./exit-codes.ts";
import { weightsDigest } from "./final-weights.ts";
import type { FinalSaveError, HurriedSave } from "./last-save.ts";
import type { IncompatibleError, Learner } from "./learner.ts";
import { type MetricValues, toMetrics } from "./metric-values.ts";
import type { Place } from "./place.ts";
import type { Saved } from "./saver.ts";
import { say } from "./say.ts";
import { restoredSoFar, type StartingPoint } from "./starting-point.ts";
import { handOverSignals } from "./stop.ts";
import type { EventWriter } from "./tensorboard/event-writer.ts";
import { leaveRecord } from "./trainer-record.ts";

/** A run that has reached its end. */
export type TrainResult = {
  readonly step: number;
  readonly metrics: MetricValues;
  readonly checkpoint: Digest;
  /** Digest over the final weights alone: equal digests mean equal weights. */
  readonly weights: Digest;
};

type Ended = {
  readonly start: StartingPoint;
  readonly step: number;
  readonly metrics: MetricValues;
  /** Closed when the record stands: on a volume that hangs, a display must not cost the process its last word. */
  readonly events: Closable | undefined;
};

type Closable = Pick<EventWriter, "close">;

/**
 * The run is done: the final checkpoint stands, and this process may end whenever it likes. `sinceMs` is the earliest
 * instant at which a signal can have come, null where none has.
 */
export async function endDone(
  place: Place,
  {
    start,
    step,
    metrics,
    learner,
    saved,
    sinceMs,
    events,
  }: Ended & { learner: Learner<never>; saved: Saved; sinceMs: number | null },
): Promise<TrainResult> {
  const { weights: held, optimizerTensors } = learner.snapshot();
  const weights = weightsDigest(held);
  for (const tensor of [...held, ...optimizerTensors]) tensor.release();
  // In a pod the agent verifies the final checkpoint first, and then appends this.
  if (place.kind === "local") await finishRun(start.store, { attempt: start.attempt, manifest: saved.digest });
  if (sinceMs !== null) {
    // What the signal left so far does not know what was used of the grace period. The agent reads there what it has.
    leaveRecord(place, {
      kind: "preempted",
      attempt: start.attempt,
      step,
      finalCheckpoint: "Saved",
      checkpoint: saved.digest,
      graceUsedSeconds: secondsSince(sinceMs),
    });
  }
  leaveRecord(place, {
    kind: "done",
    attempt: start.attempt,
    step,
    checkpoint: saved.digest,
    weights,
    metrics: toMetrics(metrics),
  });
  handOverSignals(() => process.exit(exitCodes.done));
  await events?.close();
  say(`done at step ${step}: weights ${weights}, checkpoint ${saved.digest}`);
  return { step, metrics, checkpoint: saved.digest, weights };
}

function secondsSince(instantMs: number): number {
  return Math.round(performance.now() - instantMs) / 1000;
}

/** How a stop found the process: `sinceMs` is the earliest instant at which the signal can have come. */
export type Preempted = {
  readonly attempt: number;
  readonly step: number;
  readonly save: HurriedSave;
  readonly sinceMs: number;
  readonly events: Closable | undefined;
};

/** A signal asked for the end, and what could be saved is. */
export async function endPreempted(place: Place, { attempt, step, save, sinceMs, events }: Preempted): Promise<never> {
  const { finalCheckpoint, checkpoint, why } = save;
  leaveRecord(place, {
    kind: "preempted",
    attempt,
    step,
    finalCheckpoint,
    checkpoint: checkpoint?.digest ?? null,
    graceUsedSeconds: secondsSince(sinceMs),
  });
  say(`stopped at step ${step}: final checkpoint ${finalCheckpoint} (${why})`);
  await events?.close();
  process.exit(exitCodes.preempted);
}

/**
 * A signal came before training had begun; where the restore was through, its checkpoint holds all there is. `start` is
 * null where the process had not seen the restore's end.
 */
export async function endPreemptedEarly(
  place: Place,
  { start, sinceMs }: { start: StartingPoint | null; sinceMs: number },
): Promise<never> {
  const resume = start?.resume ?? (place.kind === "pod" ? await restoredSoFar(place) : null);
  const save: HurriedSave =
    resume === null
      ? { finalCheckpoint: "NotAttempted", checkpoint: null, why: "no step was trained" }
      : { finalCheckpoint: "Saved", checkpoint: resume, why: "no step was trained since the resume" };
  return endPreempted(place, {
    attempt: start?.attempt ?? (place.kind === "pod" ? place.attempt : 1),
    step: resume?.step ?? 0,
    save,
    sinceMs,
    events: undefined,
  });
}

/** The checkpoint is whole and this script cannot continue it: repeating that would change nothing. */
export function endIncompatible(
  place: Place,
  { start, error }: { start: StartingPoint; error: IncompatibleError },
): never {
  if (start.resume !== null) {
    const { digest } = start.resume;
    leaveRecord(place, { kind: "incompatible", attempt: start.attempt, checkpoint: digest, message: error.message });
  }
  console.error(error.message);
  process.exit(exitCodes.incompatible);
}

/** Another attempt holds the log: this process must not write any more, and has nothing to report. */
export function endFenced(fence: FencedError | null): never {
  console.error(fence?.message ?? "A newer attempt holds the run's log.");
  process.exit(exitCodes.fenced);
}

/** The final save waits for a volume that does not answer; what has no other step to do must not hold a device for that. */
export function endStuck(error: FinalSaveError): never {
  console.error(error);
  process.exit(exitCodes.crashed);
}
