import type { Stop, TrainingRunStatus } from "../api/status.ts";
import { classify, restoreFailure } from "./cause.ts";
import { deadlineOf } from "./deadline.ts";
import { endedAttempt } from "./ended-attempt.ts";
import { timeOf } from "./instant.ts";
import type { Observed, ObservedPod } from "./observed.ts";
import { hasStarted } from "./pod-end.ts";
import { membersOf, type Survey } from "./survey.ts";

/**
 * Why the open attempt has to be ended now; null when it has not, when it is being ended already, or when it has
 * ended by itself. Written to status before any pod is deleted, so a deletion of ours is never taken for another's.
 */
export function stopFor(observed: Observed, status: TrainingRunStatus, scene: Survey): Stop | null {
  const { entry } = scene;
  if (entry === null || scene.ended !== null || status.stop?.attempt === entry.number) return null;
  const wished = wish(observed, status, scene);
  // What ended the trainer first is the cause: a wish that comes while its agent finishes only stops what is left.
  const ended = wished === null ? isOver(observed, scene) : hasEnded(scene);
  const why = ended ? asItEnded(observed, status, scene) : wished;
  return why === null ? null : { attempt: entry.number, ...why, time: timeOf(observed.now) };
}

type Why = Omit<Stop, "attempt" | "time">;

function wish({ run, now }: Observed, status: TrainingRunStatus, { entry, members, unseen }: Survey): Why | null {
  if (run.metadata.deletionTimestamp !== undefined) {
    return { cause: "RunDeleted", message: "The run was deleted." };
  }
  if (run.spec.suspend) return { cause: "Suspended", message: "spec.suspend was set." };
  const deadline = deadlineOf(run, status);
  if (deadline !== null && now >= deadline) {
    return {
      cause: "DeadlineExceeded",
      message: `spec.activeDeadlineSeconds (${run.spec.activeDeadlineSeconds}) went by.`,
    };
  }
  const edited = entry !== null && entry.generation !== run.metadata.generation;
  if (edited && unseen.length === 0 && !members.some(({ pod }) => hasStarted(pod))) {
    return { cause: "Superseded", message: "The spec was edited before the trainer had started." };
  }
  return null;
}

/** The attempt is over but something of the template's, or a trainer that waits for a restore, keeps its pod alive. */
function isOver(observed: Observed, scene: Survey): boolean {
  return membersOf(scene, observed).some(
    (member) => member.kind === "Pod" && (lingers(member.pod) || restoreFailure(member, member.pod.attempt) !== null),
  );
}

function hasEnded({ members }: Survey): boolean {
  return members.some(({ pod }) => pod.trainer.state.kind === "Terminated");
}

function asItEnded(observed: Observed, status: TrainingRunStatus, scene: Survey): Why {
  const attempt = endedAttempt(observed.run, status, membersOf(scene, observed));
  const { cause, charge, reason, message, exitCode } = classify(attempt);
  return {
    cause,
    charge,
    ...(reason === "" ? {} : { reason: reason.slice(0, 63) }),
    ...(message === "" ? {} : { message }),
    ...(exitCode === undefined ? {} : { exitCode }),
  };
}

function lingers(pod: ObservedPod): boolean {
  return (
    pod.trainer.state.kind === "Terminated" &&
    pod.others.some(({ role, state }) => role === "Regular" && state.kind !== "Terminated")
  );
}
