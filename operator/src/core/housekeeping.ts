import { accountingFinalizer, finalSaveFinalizer } from "../api/names.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { Action } from "./decision.ts";
import type { Addition } from "./draft.ts";
import type { Observed, ObservedPod } from "./observed.ts";
import type { Survey, SurveyedPod } from "./survey.ts";

/** Ended pods of so many newest attempts stay, for their logs. */
const keptAttempts = 3;

/**
 * What happens to pods that are not the open attempt's: their attempt is counted or they were never a part of
 * one, so they are stopped, let go, and in time removed. No pod is let go before its end is in the ledger (I9).
 */
export function tidyPods({ others }: Survey, status: TrainingRunStatus): Action[] {
  return others.flatMap((each) => [...removal(each, status), ...release(each)]);
}

/**
 * The same where no attempt lives. A claim that is being deleted stands as long as any pod names it, ended or not: then
 * no pod is kept for its logs, or the claim and the run would wait for each other for ever.
 */
export function tidyIdlePods(scene: Survey, status: TrainingRunStatus, { volume }: Pick<Observed, "volume">): Action[] {
  const tidied = tidyPods(scene, status);
  if (volume.kind !== "Present" || !volume.deletionRequested) return tidied;
  const kept = scene.others.filter((each) => each.end.kind === "Ended" && removal(each, status).length === 0);
  return [...tidied, ...kept.flatMap(({ pod }) => deletePod(pod))];
}

/**
 * Puts the run's own finalizer back where somebody took it off a run that has begun: without it a deletion would wait for
 * no last save, and remove nothing.
 */
export function heldAgain({ run }: Observed): Pick<Addition, "actions" | "events"> {
  const { deletionTimestamp, finalizers } = run.metadata;
  // It is put on before the first pod is created.
  const wasHeld = run.status.attempts?.some(({ pods }) => pods.length > 0) ?? false;
  if (!wasHeld || deletionTimestamp !== undefined || finalizers.includes(finalSaveFinalizer)) return {};
  const message = `Somebody took the finalizer ${finalSaveFinalizer} off the run; it is put back, so that a deletion waits for the last save. Deleting the run takes it off in time.`;
  return { actions: [{ kind: "HoldRun" }], events: [{ type: "Warning", reason: "FinalizerMissing", message }] };
}

/** Asks a pod to stop, unless somebody has. */
export function deletePod({ name, uid, deletionRequestedAt }: ObservedPod): Action[] {
  return deletionRequestedAt === null ? [{ kind: "DeletePod", name, uid }] : [];
}

/** Takes the object of a pod away that was given up: its kubelet is not heard of, and would never let it go. */
function removePod({ name, uid, removedByForce }: ObservedPod): Action[] {
  return removedByForce ? [] : [{ kind: "DeletePod", name, uid, force: true }];
}

/** Takes our finalizer off a pod, where it is on it. */
export function releasePod({ name, uid, resourceVersion, finalizers }: ObservedPod): Action[] {
  if (!finalizers.includes(accountingFinalizer)) return [];
  return [{ kind: "ReleasePod", name, uid, resourceVersion, finalizers }];
}

function removal({ pod, end }: SurveyedPod, { attempt = 0, fencedAttempt = 0 }: TrainingRunStatus): Action[] {
  const mayRun = end.kind === "Alive" || end.unreported;
  if (mayRun && pod.attempt <= fencedAttempt) return removePod(pod);
  const old = pod.attempt <= attempt - keptAttempts;
  return mayRun || old ? deletePod(pod) : [];
}

function release({ pod, end }: SurveyedPod): Action[] {
  return end.kind === "Ended" ? releasePod(pod) : [];
}
