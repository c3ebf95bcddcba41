import { finalSaveFinalizer } from "../api/names.ts";
import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { judgeClaim } from "./claim.ts";
import type { Action } from "./decision.ts";
import { heldAgain } from "./housekeeping.ts";
import { claimNameOf, podName } from "./names.ts";
import { suspectedNodes } from "./node-suspicion.ts";
import type { CreateRefusal, Observed } from "./observed.ts";
import { trainingPod } from "./pod.ts";
import type { PodSettings } from "./pod-settings.ts";
import type { Obstacle } from "./supported.ts";
import { missingWorkers, workersOf } from "./workers.ts";

/** How long a refused creation is left alone before it is tried again. */
export const refusalRetryMs = 15_000;

/** What pods are made for, and of which workers: of those that never had one, unless told otherwise. */
export type Creation = Readonly<{
  status: TrainingRunStatus;
  entry: AttemptEntry;
  settings: PodSettings;
  workers?: readonly number[];
}>;

/** The writes that bring an attempt's pods into being. Names are fixed by the attempt, so a repeat makes no second pod. */
export function creations(
  observed: Observed,
  { status, entry, settings, workers = missingWorkers(entry, []) }: Creation,
): Action[] {
  const run = { ...observed.run, status };
  const claim = judgeClaim(run, observed.volume);
  const avoidNodes = suspectedNodes(status);
  const pods = workers.map(
    (worker): Action => ({
      kind: "CreatePod",
      manifest: trainingPod({ run, entry, worker, settings, avoidNodes }),
      attempt: entry.number,
      worker,
    }),
  );
  const isHeld = run.metadata.finalizers.includes(finalSaveFinalizer) || heldAgain(observed).actions !== undefined;
  return [
    ...(isHeld ? [] : [{ kind: "HoldRun" } as const]),
    ...(claim.kind === "Create" ? [{ kind: "CreateClaim", manifest: claim.manifest } as const] : []),
    ...pods,
  ];
}

/** The last refusal of what the attempt needs, in the API server's words; null where nothing was refused. */
export function refusalOf({ run, refusals }: Observed, entry: AttemptEntry): (Obstacle & { at: number }) | null {
  const names = [
    claimNameOf(run),
    ...Array.from({ length: workersOf(entry) }, (_, worker) => podName(run, entry.number, worker)),
  ];
  const refusal = refusals.find(({ name }) => names.includes(name));
  if (refusal === undefined) return null;
  return {
    reason: refusal.message.includes("exceeded quota") ? "QuotaExceeded" : "CreationRefused",
    message: `Cannot create ${nounOf(refusal)} ${refusal.name} because the API server refused it: ${refusal.message}`,
    at: refusal.at,
  };
}

function nounOf({ kind }: CreateRefusal): string {
  return kind === "PersistentVolumeClaim" ? "the claim" : kind === "Pod" ? "the pod" : "the service";
}
