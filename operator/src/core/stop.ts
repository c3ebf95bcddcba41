import type { AttemptEntry, Stop, TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { classify, type Member, restoreFailure } from "./cause.ts";
import { deadlineOf } from "./deadline.ts";
import { endedAttempt } from "./ended-attempt.ts";
import { endedWorkers } from "./gang.ts";
import { timeOf } from "./instant.ts";
import { openEntry } from "./ledger.ts";
import { readBackReason, toldSuspicion } from "./node-suspicion.ts";
import type { Observed, ObservedPod } from "./observed.ts";
import { behind, lossAmong, mayFollowFromLoss, peersOf } from "./peer-loss.ts";
import { hasStarted, lingers } from "./pod-end.ts";
import { podHash } from "./pod-hash.ts";
import { refusedSpec } from "./refused-spec.ts";
import { describeStall, stallOf } from "./stall.ts";
import { membersOf, type Survey, unseenMembers } from "./survey.ts";
import { workersOf } from "./workers.ts";

/**
 * Why the open attempt has to be ended now; null when it has not, when it is being ended already, or when it has
 * ended by itself. Written to status before any pod is deleted, so a deletion of ours is never taken for another's.
 */
export function stopFor(observed: Observed, status: TrainingRunStatus, scene: Survey): Stop | null {
  const { entry } = scene;
  if (entry === null) return null;
  const isGang = workersOf(entry) > 1;
  if (status.stop?.attempt === entry.number) return isGang ? revised(observed, status.stop, scene) : null;
  if (scene.ended !== null) return null;
  const wished = wish(observed, status, scene);
  const ended = isGang ? endedOfGang(observed, wished, scene) : endedAlone(observed, wished, scene);
  const why =
    ended.length > 0 ? asItEnded(observed, status, { scene, ended }) : (wished ?? hopelessAgent(status, scene));
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
  const suspicion = toldSuspicion(observed, scene);
  if (suspicion !== null) return { cause: "NodeSuspect", reason: readBackReason, message: suspicion };
  const stall = stallOf(observed, scene);
  if (stall !== null) {
    return { cause: "Stalled", ...describeStall(stall) };
  }
  const isUntouched = unseen.length === 0 && !members.some(({ pod }) => hasStarted(pod));
  if (entry !== null && isUntouched && supersedes(run, entry, members.length > 0)) {
    return { cause: "Superseded", message: "What the pods are made of was edited before the trainer had started." };
  }
  return isUntouched ? withoutClaim(observed, members) : null;
}

/**
 * Pods without a node are never given one once their claim goes: they would wait for ever, and nothing would make the
 * claim anew or say what is lost with it. A pod with a node holds the claim, or its kubelet says what it lacks.
 */
function withoutClaim({ volume, now }: Observed, members: Survey["members"]): Why | null {
  const isAnywhere = members.some(({ pod }) => pod.node !== null);
  if (members.length === 0 || isAnywhere || volume.kind === "None") return null;
  const { claimName } = volume;
  const because = (what: string): Why => ({
    cause: "StorageUnavailable",
    reason: "ClaimGone",
    message: `The claim ${claimName} ${what} before any pod of the attempt had a node.`,
  });
  if (volume.kind === "Present") return volume.deletionRequested ? because("was deleted") : null;
  // It was there, or made together with the pods, a moment before them: only a copy that is old can lack it so soon.
  return members.every(({ pod }) => now - pod.createdAt >= oldCopyMs) ? because("was gone") : null;
}

/** So old no copy of the claims is: the operator stops acting on what it has not heard of for a minute. */
const oldCopyMs = 60_000;

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
  const entry = openEntry(status);
  if (entry === null || isThrough(entry)) return null;
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

/** Worker 0 opens for all of a gang, and each of the others has its own part to restore before they take a step together. */
function isThrough(entry: AttemptEntry): boolean {
  return workersOf(entry) > 1 ? entry.firstStepTime !== undefined : entry.opened === true;
}

/**
 * The one pod of an attempt, where that is over but something of the template's, or a trainer that waits for a restore,
 * keeps the pod alive. What ended the trainer first is the cause: a wish that comes while its agent finishes only stops
 * what is left.
 */
function endedAlone(observed: Observed, wished: Why | null, scene: Survey): Member[] {
  return membersOf(scene, observed).filter(
    (member) =>
      member.kind === "Pod" &&
      (wished === null
        ? lingers(member.pod) || restoreFailure(member, member.pod.attempt) !== null
        : hasEnded(member.pod)),
  );
}

/** As {@link endedAlone}, of a gang, which is over with the first worker that is lost. */
function endedOfGang(observed: Observed, wished: Why | null, scene: Survey): Member[] {
  const ended = endedWorkers(observed, scene);
  if (ended.length > 0 || wished === null) return ended;
  return membersOf(scene, observed).filter(
    (member) => member.kind === "Pod" && member.pod.worker === 0 && hasEnded(member.pod),
  );
}

function hasEnded({ trainer }: ObservedPod): boolean {
  return trainer.state.kind === "Terminated";
}

type Ended = Readonly<{ scene: Survey; ended: readonly Member[] }>;

/** By what has ended alone: the others of a gang are asked to stop only now. */
function asItEnded(observed: Observed, status: TrainingRunStatus, { scene, ended }: Ended): Why {
  const named = classify(endedAttempt(observed.run, status, ended));
  const { cause, charge, reason, message, exitCode } = { ...named, ...(lossBehind(observed, named, scene) ?? {}) };
  return {
    cause,
    charge,
    ...(reason === "" ? {} : { reason: reason.slice(0, 63) }),
    ...(message === "" ? {} : { message }),
    ...(exitCode === undefined ? {} : { exitCode }),
  };
}

/** What was taken for the program's own fault, before anybody knew that a peer was lost. */
function revised(observed: Observed, stop: Stop, scene: Survey): Stop | null {
  const loss = lossBehind(observed, stop, scene);
  return loss === null ? null : { ...stop, ...loss };
}

function lossBehind(observed: Observed, end: Readonly<Pick<Stop, "cause" | "charge" | "message">>, scene: Survey) {
  if (scene.entry === null || workersOf(scene.entry) === 1 || !mayFollowFromLoss(end)) return null;
  const loss = lossAmong(peersOf([...membersOf(scene, observed), ...unseenMembers(scene, observed)]));
  return loss === null ? null : behind(loss, end);
}
