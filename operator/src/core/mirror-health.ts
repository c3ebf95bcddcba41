import type { MirrorState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { CheckpointSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { Statement } from "./conditions.ts";
import { claimNameOf } from "./names.ts";
import { adviceOn } from "./object-store-advice.ts";
import { durabilityOf } from "./pod-environment.ts";

/** An upload may take a while; a store that lacks what is newest for longer does not keep up. */
const patienceSeconds = 600;

/** What is wrong with the copies in the object store, for `CheckpointsHealthy`. */
export type MirrorProblem = Readonly<{ reason: string; message: string }>;

/**
 * What keeps the object store from having what the volume has; null where it keeps up. Only words that change with what
 * is verified or mirrored: the status is not written again for every second that passes.
 */
export function mirrorProblem(run: TrainingRun, status: TrainingRunStatus, mirror: MirrorState): MirrorProblem | null {
  const { problem, lagSteps, lagSeconds } = mirror;
  if (problem !== null) {
    const message = [problem.message, adviceOn(problem.reason, run), atRisk(run, mirror)];
    return { reason: problem.reason, message: message.filter((each) => each !== "").join(" ") };
  }
  if (lagSeconds <= patienceSeconds || hasCaughtUp(status, mirror)) return null;
  const remedy =
    "Save less often (spec.checkpoint.interval; it holds from the next attempt on: suspend and resume the run), or give the agent a faster way to the store and more of a processor.";
  return {
    reason: "MirrorBehind",
    message: `The object store has been behind for more than ${patienceSeconds / 60} minutes, by ${lagSteps} steps now. ${atRisk(run, mirror)} ${remedy}`,
  };
}

/** How far the object store is, where nothing is wrong with it. */
export function mirrorWords(status: TrainingRunStatus, mirror: MirrorState): string {
  const { lagSteps, latestStep } = mirror;
  if (hasCaughtUp(status, mirror)) return "The object store has the newest of it.";
  if (latestStep === null) return "The object store has no copy yet.";
  if (lagSteps === 0)
    return `The object store lacks the newest save, of step ${status.latestVerified?.step ?? latestStep}.`;
  return `The object store is ${lagSteps} steps behind, at step ${latestStep}.`;
}

/** An agent's last answer may be older than the record that it left at its end, which says where the newest one lies. */
function hasCaughtUp({ latestVerified }: TrainingRunStatus, { lagSteps, latestStep }: MirrorState): boolean {
  const newestStep = (latestStep ?? 0) + lagSteps;
  const isThere = latestVerified?.tiers.includes("ObjectStore") === true;
  if (latestVerified !== undefined && latestVerified.step >= newestStep) return isThere;
  return lagSteps === 0 && latestStep !== null;
}

/** The newest checkpoint on record that the object store has; null where none is known to be there. */
export function newestMirrored({ latestVerified, checkpoints = [] }: TrainingRunStatus): CheckpointSummary | null {
  const mirrored = [...(latestVerified ? [latestVerified] : []), ...checkpoints].filter(({ tiers }) =>
    tiers.includes("ObjectStore"),
  );
  return mirrored.toSorted((a, b) => b.step - a.step)[0] ?? null;
}

/** What there is to say of a run that is complete without its last checkpoint in the object store: no pod uploads it any more. */
export function finalNotMirrored(
  run: TrainingRun,
  { latestVerified, conditions }: TrainingRunStatus,
): Statement | null {
  const { objectStore } = run.spec.checkpoint;
  if (objectStore === undefined || latestVerified === undefined || latestVerified.tiers.includes("ObjectStore")) {
    return null;
  }
  const before = conditions?.find(({ type, status }) => type === "CheckpointsHealthy" && status === "False");
  const message = [
    `The run is complete, but the bucket ${objectStore.bucket} lacks its last checkpoint, of step ${latestVerified.step}: the pod ended before it was uploaded, and no other follows.`,
    `It is on the volume alone: copy data/step-${String(latestVerified.step).padStart(12, "0")}-* from below ${run.metadata.uid} on the claim ${claimNameOf(run)}, and keep that claim until then.`,
    ...(before === undefined ? [] : [`Before that: ${before.message}`]),
  ];
  return {
    type: "CheckpointsHealthy",
    status: "False",
    reason: "FinalNotMirrored",
    message: message.join(" ").slice(0, 1024),
  };
}

function atRisk(run: TrainingRun, { latestStep }: MirrorState): string {
  const there = latestStep === null ? "Nothing is in it yet" : `It has step ${latestStep}`;
  return durabilityOf(run) === "Ephemeral"
    ? `${there}; what is newer goes with the pod, because the run has no volume.`
    : `${there}; what is newer is on the volume alone.`;
}
