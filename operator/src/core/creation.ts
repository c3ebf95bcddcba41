import { finalSaveFinalizer } from "../api/names.ts";
import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { judgeClaim } from "./claim.ts";
import type { Action } from "./decision.ts";
import { heldAgain } from "./housekeeping.ts";
import { suspectedNodes } from "./node-suspicion.ts";
import type { Observed } from "./observed.ts";
import { trainingPod } from "./pod.ts";
import type { PodSettings } from "./pod-settings.ts";
import { withPlaceFound } from "./queue-metadata.ts";
import { gangService } from "./service.ts";
import { missingWorkers, workersOf } from "./workers.ts";

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
  const placed = withPlaceFound(run, entry, observed.pods);
  const pods = workers.map(
    (worker): Action => ({
      kind: "CreatePod",
      manifest: trainingPod({ run, entry: placed, worker, settings, avoidNodes }),
      attempt: entry.number,
      worker,
    }),
  );
  const isHeld = run.metadata.finalizers.includes(finalSaveFinalizer) || heldAgain(observed).actions !== undefined;
  return [
    ...(isHeld ? [] : [{ kind: "HoldRun" } as const]),
    ...(claim.kind === "Create" ? [{ kind: "CreateClaim", manifest: claim.manifest } as const] : []),
    ...(workersOf(entry) > 1 && observed.service !== "Present" ? [serviceCreation(observed)] : []),
    ...pods,
  ];
}

/** The write that brings a gang's Service into being, once for all attempts. */
export function serviceCreation({ run }: Observed): Action {
  return { kind: "CreateService", manifest: gangService(run) };
}
