import { accountingFinalizer } from "../api/names.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { Action } from "./decision.ts";
import type { ObservedPod } from "./observed.ts";
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

/** Asks a pod to stop, unless somebody has. */
export function deletePod({ name, uid, deletionRequestedAt }: ObservedPod): Action[] {
  return deletionRequestedAt === null ? [{ kind: "DeletePod", name, uid }] : [];
}

/** Takes our finalizer off a pod, where it is on it. */
export function releasePod({ name, uid, resourceVersion, finalizers }: ObservedPod): Action[] {
  if (!finalizers.includes(accountingFinalizer)) return [];
  return [{ kind: "ReleasePod", name, uid, resourceVersion, finalizers }];
}

function removal({ pod, end }: SurveyedPod, { attempt = 0 }: TrainingRunStatus): Action[] {
  const mayRun = end.kind === "Alive" || end.unreported;
  const old = pod.attempt <= attempt - keptAttempts;
  return mayRun || old ? deletePod(pod) : [];
}

function release({ pod, end }: SurveyedPod): Action[] {
  return end.kind === "Ended" ? releasePod(pod) : [];
}
