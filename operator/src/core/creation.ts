import { finalSaveFinalizer } from "../api/names.ts";
import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { judgeClaim } from "./claim.ts";
import type { Action } from "./decision.ts";
import { heldAgain } from "./housekeeping.ts";
import { claimNameOf, podName, serviceName } from "./names.ts";
import { suspectedNodes } from "./node-suspicion.ts";
import type { CreateRefusal, Observed } from "./observed.ts";
import { trainingPod } from "./pod.ts";
import type { PodSettings } from "./pod-settings.ts";
import { gangService } from "./service.ts";
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
    ...(workersOf(entry) > 1 && observed.service !== "Present" ? [serviceCreation(observed)] : []),
    ...pods,
  ];
}

/** The write that brings a gang's Service into being, once for all attempts. */
export function serviceCreation({ run }: Observed): Action {
  return { kind: "CreateService", manifest: gangService(run) };
}

type Refused = Obstacle & Readonly<{ at: number }>;

/** The last refusal of what the attempt needs, in the API server's words; null where nothing was refused. */
export function refusalOf({ run, refusals }: Observed, entry: AttemptEntry): Refused | null {
  const workers = Array.from({ length: workersOf(entry) }, (_, worker) => podName(run, entry.number, worker));
  const names = new Set([claimNameOf(run), ...(workersOf(entry) > 1 ? [serviceName(run)] : []), ...workers]);
  return inWords(refusals.find(({ name }) => names.has(name)));
}

/** The same of a gang's Service alone. */
export function serviceRefusal({ run, refusals }: Observed): Refused | null {
  return inWords(refusals.find(({ kind, name }) => kind === "Service" && name === serviceName(run)));
}

function inWords(refusal: CreateRefusal | undefined): Refused | null {
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
