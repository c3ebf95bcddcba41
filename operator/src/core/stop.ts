import type { AttemptEntry, Stop, TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { classify, restoreFailure } from "./cause.ts";
import { deadlineOf } from "./deadline.ts";
import { endedAttempt } from "./ended-attempt.ts";
import { timeOf } from "./instant.ts";
import { openEntry } from "./ledger.ts";
import type { Observed, ObservedPod } from "./observed.ts";
import { hasStarted } from "./pod-end.ts";
import { podHash } from "./pod-hash.ts";
import { refusedSpec } from "./refused-spec.ts";
import { stallOf } from "./stall.ts";
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
  const why = ended ? asItEnded(observed, status, scene) : (wished ?? hopelessAgent(status, scene));
  return why === null ? null : { attempt: entry.number, ...why, time: timeOf(observed.now) };
}

/** The kubelet waits longer each time, so this takes some minutes: time enough for what passes by itself. */
const mostRestarts = 5;

type Why = Omit<Stop, "attempt" | "time">;

function wish(observed: Observed, status: TrainingRunStatus, scene: Survey): Why | null {
  const { run, now } = observed;
  const { entry, members, unseen } = scene;
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
  const stall = stallOf(observed, scene);
  if (stall !== null) {
    const told = stall.dump === null ? "" : " The attempt's dump says what its process was doing.";
    const message = `No step was done after step ${stall.step} for ${Math.floor(stall.seconds)} s, by spec.stall.${told}`;
    return { cause: "Stalled", reason: "NoStep", message };
  }
  const isUntouched = unseen.length === 0 && !members.some(({ pod }) => hasStarted(pod));
  if (entry !== null && isUntouched && supersedes(run, entry, members.length > 0)) {
    return { cause: "Superseded", message: "What the pods are made of was edited before the trainer had started." };
  }
  return null;
}

/**
 * An edit throws away an attempt that has not begun to train, if it changes the pods; and a pod that exists not for a
 * spec that no attempt may begin with. An entry without a hash is of a version that took every edit for a change.
 */
function supersedes(run: TrainingRun, { generation, podHash: made }: AttemptEntry, hasPods: boolean): boolean {
  if (generation === run.metadata.generation) return false;
  return refusedSpec(run) === null ? made !== podHash(run) : !hasPods;
}

/**
 * An agent that ends again and again before it has handed anything over, and says nothing: its memory does not hold the
 * restore, or it has a defect. The trainer would wait for it for ever, and hold its device.
 */
function hopelessAgent(status: TrainingRunStatus, { members }: Survey): Why | null {
  if (openEntry(status)?.opened) return null;
  const agent = members
    .map(({ pod }) => pod.agent)
    .find(({ state, restarts }) => state.kind !== "Running" && restarts >= mostRestarts);
  const end = agent?.state.kind === "Terminated" ? agent.state : agent?.previousEnd;
  if (agent === undefined || !end) return null;
  const isMemory = end.reason === "OOMKilled";
  const advice = isMemory ? " Raise the agent's memory limit in the operator's settings." : "";
  const words = end.message === "" ? "" : ` Its last words: ${end.message}`;
  const message = `The agent ended ${agent.restarts + 1} times before its restore was through, last with exit code ${end.exitCode} (${end.reason || "no reason"}).${advice}${words}`;
  return {
    cause: isMemory ? "OutOfMemory" : "Crashed",
    charge: "Failure",
    reason: "AgentRestarts",
    message: message.slice(0, 1024),
  };
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
