import type { Cause, Charge } from "../api/cause.ts";
import type { Silence } from "../api/status.ts";
import type { ContainerEnd, ObservedNode, ObservedPod } from "./observed.ts";

/** An end that the program did not cause, with the cluster's own word for it; `charge` where it costs not what its cause does. */
export type Disruption = Readonly<{ cause: Cause; charge?: Charge; reason: string; message: string }>;

/** Reasons of the pod condition `DisruptionTarget`. */
const byCondition: Readonly<Record<string, Cause>> = {
  PreemptionByScheduler: "Preempted",
  EvictionByEvictionAPI: "Drained",
  DeletionByTaintManager: "NodeLost",
  DeletionByPodGC: "NodeLost",
  TerminationByKubelet: "NodePressure",
};

/** Reasons that the kubelet or the node controller puts on a failed pod itself. */
const byPodReason: Readonly<Record<string, Cause>> = {
  Evicted: "NodePressure",
  Terminated: "NodeShutdown",
  NodeShutdown: "NodeShutdown",
  Preempting: "Preempted",
  NodeLost: "NodeLost",
  // activeDeadlineSeconds of the template's pod, not of the run: the user's slice of time, which the program did not end.
  DeadlineExceeded: "PodDeadlineExceeded",
};

/** Of the kubelet, and of containerd for a container that ran before its node was started again. */
const lostTrackReasons: readonly string[] = ["ContainerStatusUnknown", "Unknown"];

/** 128 plus the number of SIGTERM and of SIGKILL: how a container ends that was asked to stop. */
const stopExitCodes: readonly number[] = [143, 137];

/** A node that goes down without a word, a runtime that is restarted, a probe that failed, a person with `kill`. */
const signalled: Disruption = {
  cause: "Signalled",
  reason: "SignalReceived",
  message: "The trainer was asked to stop by SIGTERM, and nobody deleted the pod or said why.",
};

/** The kubelet's words for a pod that went past a storage limit of its own: unlike pressure, it puts no condition on that. */
const ownLimit =
  /^(Usage of EmptyDir volume \S+ exceeds|Pod ephemeral local storage usage exceeds|Container \S+ exceeded its local ephemeral)/;

/** The kubelet ended a pod that its node had room for, because it took more than it may. */
export function isPastOwnLimit({ phase, reason, message }: ObservedPod): boolean {
  return phase === "Failed" && reason === "Evicted" && ownLimit.test(message);
}

/** What disrupted a pod; null where nothing but the program itself ended it. */
export function disruptionOf(pod: ObservedPod, node: ObservedNode | undefined): Disruption | null {
  return toldDisruption(pod, node) ?? (isPastOwnLimit(pod) ? null : stoppedFromOutside(pod));
}

/** The same by what the cluster says alone: in a gang, a signal or a deletion may follow from the end of another pod. */
export function toldDisruption(pod: ObservedPod, node: ObservedNode | undefined): Disruption | null {
  const queued = takenBack(pod);
  if (queued !== null) return queued;
  const condition = pod.conditions.find(({ type, status }) => type === "DisruptionTarget" && status === "True");
  const podCause = byPodReason[pod.reason];
  if (condition) {
    // The kubelet uses one condition for pressure, shutdown and preemption; the pod's own reason tells them apart.
    const kubelet = condition.reason === "TerminationByKubelet" ? podCause : undefined;
    const cause = kubelet ?? byCondition[condition.reason] ?? "Drained";
    return { cause, reason: condition.reason, message: condition.message };
  }
  if (isPastOwnLimit(pod)) return null;
  if (pod.phase === "Failed" && podCause !== undefined) {
    return { cause: podCause, reason: pod.reason, message: pod.message };
  }
  const lost = lossOf(node);
  if (lost !== null) return lost;
  const { state } = pod.trainer;
  if (state.kind === "Terminated" && lostTrackReasons.includes(state.reason)) {
    return { cause: "NodeLost", reason: state.reason, message: `Node ${pod.node} lost track of the container.` };
  }
  return null;
}

/**
 * The queue wants the room back: Kueue says so in a condition of its own, and deletes the pod. The run waits in the queue
 * again, which is what it was put there for, so it costs nothing. Where the deletion did not come to it, or came after the
 * trainer's end, the condition says nothing about that end.
 */
function takenBack(pod: ObservedPod): Disruption | null {
  const condition = pod.conditions.find(({ type, status }) => type === "TerminationTarget" && status === "True");
  if (condition === undefined || pod.deletionRequestedAt === null || stoppedFromOutside(pod) === null) return null;
  return { cause: "Preempted", charge: "Nothing", reason: condition.reason, message: condition.message };
}

/** The end of a pod that nobody saw end: by `nodeLost: Fence` its attempt is not waited for. */
export function givenUp({ nodes, since }: Silence): Disruption {
  const message = `Nothing was heard of node ${nodes.join(", ")} since ${since}, so the attempt was given up by spec.nodeLost. What its pod may still write counts for nothing once the next attempt has opened the log.`;
  return { cause: "NodeLost", reason: "Fenced", message };
}

/** What took a pod away that is gone from the API: its node where that is known to be lost, or somebody. */
export function vanished(node: ObservedNode | undefined): Disruption {
  const message = "The pod disappeared before its end could be seen.";
  return lossOf(node) ?? { cause: "Deleted", reason: "GoneWithoutTrace", message };
}

/** What is known of a node that is lost for certain; null where it is not. */
export function lossOf(node: ObservedNode | undefined): Disruption | null {
  if (node?.presence === "Absent") {
    return { cause: "NodeLost", reason: "NodeGone", message: `Node ${node.name} was deleted.` };
  }
  if (node?.outOfService) {
    return { cause: "NodeLost", reason: "NodeOutOfService", message: `Node ${node.name} is tainted out-of-service.` };
  }
  return null;
}

/**
 * A stop that only a signal tells of. The times of the deletion and of the container's end come from two clocks, so
 * they are compared only where nothing else tells: what the trainer wrote, or how it ended, says it without one.
 */
function stoppedFromOutside(pod: ObservedPod): Disruption | null {
  const { state, record } = pod.trainer;
  const stopped = { cause: "Deleted", reason: "PodDeleted", message: "Somebody deleted the pod." } as const;
  const obeyed = record?.kind === "preempted" && record.attempt === pod.attempt;
  if (pod.deletionRequestedAt === null) return obeyed ? signalled : null;
  if (obeyed || state.kind !== "Terminated" || endedBySignal(state)) return stopped;
  // Both times are cut to whole seconds, so a deletion in the second of the trainer's end still counts as its cause.
  return state.finishedAt !== null && state.finishedAt + behindMs(pod) < pod.deletionRequestedAt ? null : stopped;
}

/**
 * How much its node's clock is behind the API server's: no kubelet takes a pod up before it is made. That shows so much at
 * least; a node takes a moment to take a pod up, and all these times are cut to whole seconds.
 */
function behindMs({ createdAt, startedAt }: ObservedPod): number {
  return startedAt === null || startedAt >= createdAt ? 0 : createdAt - startedAt + takenUpMs;
}

const takenUpMs = 2_000;

/** SIGTERM or the SIGKILL after it. A memory limit kills as well, but the kubelet names it. */
function endedBySignal({ exitCode, signal, reason }: ContainerEnd): boolean {
  return reason !== "OOMKilled" && (stopExitCodes.includes(exitCode) || signal === 15 || signal === 9);
}
