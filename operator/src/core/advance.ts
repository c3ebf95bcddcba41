import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { isFinishing, toldFinalSavePatienceSeconds } from "@trainingrun/checkpoint/contract/save-patience.ts";
import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { agentPatienceMs, heardAt } from "./agent-silence.ts";
import type { Addition } from "./draft.ts";
import { instantOf, timeOf } from "./instant.ts";
import type { AgentReport, Observed, ObservedPod } from "./observed.ts";
import { progressing, said } from "./progressing.ts";
import type { Obstacle } from "./supported.ts";

/** A trainer that has not reported a step this long after its restore may not know the contract at all. */
const firstStepPatienceMs = 120_000;
/** A trainer that has done steps is given this long for the next one, and as long as so many of its own take. */
const stepPatienceMs = 600_000;
const patientSteps = 20;

/** Trainer and agent run: says whether the attempt advances, or since when it does not (L3). */
export function advancing(
  observed: Observed,
  { progress }: TrainingRunStatus,
  { entry, pod }: { entry: AttemptEntry; pod: ObservedPod },
): Addition {
  const report = observed.reports.find(({ podUid }) => podUid === pod.uid);
  const hasStepped = entry.firstStepTime !== undefined || (entry.lastStep !== undefined && entry.opened === true);
  const heard = heardAt(observed, pod, hasStepped);
  const patience = heard === null ? null : heard + agentPatienceMs - observed.now;
  if (patience !== null && patience <= 0) return silent(pod);
  const fare = hasStepped
    ? afterFirstStep(observed, entry, { progress, report })
    : beforeFirstStep(observed, entry, { pod, report });
  return patience === null ? fare : { ...fare, waits: [...(fare.waits ?? []), patience] };
}

function silent(pod: ObservedPod): Addition {
  const message = `The agent of the pod ${pod.name} does not answer, so it is not known whether the attempt advances. Look at its log and at network policies for port 9464.`;
  return { state: "Running", statements: [progressing("Unknown", "AgentSilent", message)] };
}

/**
 * By when the operator heard of the last step, not by the trainer's clock. The pace is that of the whole attempt, so that
 * steps which become slower all at once are not at once taken for none.
 */
function afterFirstStep(
  observed: Observed,
  entry: AttemptEntry,
  { progress, report }: { progress: TrainingRunStatus["progress"]; report: AgentReport | undefined },
): Addition {
  const training = {
    state: "Running",
    statements: [progressing("True", "Training", `Attempt ${entry.number} is training.`)],
  } as const;
  const told = report?.state.progress;
  if (progress?.advanceTime === undefined || !told) return training;
  const { advanceTime, step } = progress;
  const { stepsPerSecond: pace } = told;
  const patience = Math.max(stepPatienceMs, pace > 0 ? (patientSteps * 1000) / pace : 0, finalPatienceMs(told));
  const left = instantOf(advanceTime) + patience - observed.now;
  if (left > 0) return { ...training, waits: [left] };
  if (isFinishing(told)) {
    const isWatched = observed.run.spec.stall !== undefined && told.phase !== undefined;
    return { state: "Running", ...said(observed, noEnd(entry, { step, advanceTime, isWatched })) };
  }
  const usual = pace > 0 ? ` One takes ${Number((1 / pace).toPrecision(2))} s on average.` : "";
  const message = `The trainer of attempt ${entry.number} has reported no step after step ${step}, which was heard of at ${advanceTime}.${usual} Look at its log and at what its process waits for. Delete its pod to go on from the newest verified checkpoint.`;
  return { state: "Running", ...said(observed, { reason: "NoStep", message }) };
}

/** A final save is tried for so long; nothing has to be waited for before. */
function finalPatienceMs(progress: Progress): number {
  return isFinishing(progress) ? toldFinalSavePatienceSeconds(progress) * 1000 : 0;
}

type Unended = Readonly<{ step: number; advanceTime: string; isWatched: boolean }>;

function noEnd({ number }: AttemptEntry, { step, advanceTime, isWatched }: Unended): Obstacle {
  const byItself = isWatched
    ? " Where it goes on for long, spec.stall ends the attempt; raise spec.stall.timeoutSeconds, for the next one, if it has to take so long."
    : "";
  const message = `The trainer of attempt ${number} has not come to its end after its last step, ${step}, which was heard of at ${advanceTime}. Look at its log, and at what its last evaluation or its final save waits for. Delete its pod to go on from the newest verified checkpoint.${byItself}`;
  return { reason: "NoEnd", message };
}

function beforeFirstStep(
  { now }: Observed,
  entry: AttemptEntry,
  { pod, report }: { pod: ObservedPod; report: AgentReport | undefined },
): Addition {
  const restoredAt = report?.state.restored?.time;
  if (restoredAt === undefined) return restoring(entry);
  const claimed = Math.max(instantOf(restoredAt), pod.trainer.startedAt ?? now);
  // Both are of the node's clock. Where they cannot be, that is off, and it is since the operator heard of the restore.
  const cannotBe = claimed < instantOf(entry.startTime) || claimed > now;
  const since = cannotBe ? (report?.receivedAt ?? now) : claimed;
  const left = since + firstStepPatienceMs - now;
  if (left > 0) {
    return {
      state: "Restoring",
      statements: [
        progressing("False", "WaitingForFirstStep", `Attempt ${entry.number} is restored; no step is done yet.`),
      ],
      waits: [left],
    };
  }
  const message = `The trainer has reported no step since its restore at ${timeOf(instantOf(restoredAt))}. Does the image speak the trainer contract? Train with this project's SDK, or write control/progress.json as the guide says.`;
  return { state: "Running", statements: [progressing("False", "NoStepReported", message)] };
}

function restoring(entry: AttemptEntry): Addition {
  return {
    state: "Restoring",
    statements: [progressing("False", "Restoring", `Attempt ${entry.number} verifies and restores.`)],
  };
}
