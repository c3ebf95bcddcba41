import type { Cause } from "../api/cause.ts";
import type { ObservedNode, ObservedPod } from "./observed.ts";

/** An end that the program did not cause, with the cluster's own word for it. */
export type Disruption = Readonly<{ cause: Cause; reason: string; message: string }>;

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
};

/** What disrupted a pod; null where nothing but the program itself ended it. */
export function disruptionOf(pod: ObservedPod, node: ObservedNode | undefined): Disruption | null {
  const condition = pod.conditions.find(({ type, status }) => type === "DisruptionTarget" && status === "True");
  const podCause = byPodReason[pod.reason];
  if (condition) {
    // The kubelet uses one condition for pressure, shutdown and preemption; the pod's own reason tells them apart.
    const kubelet = condition.reason === "TerminationByKubelet" ? podCause : undefined;
    const cause = kubelet ?? byCondition[condition.reason] ?? "Drained";
    return { cause, reason: condition.reason, message: condition.message };
  }
  if (pod.phase === "Failed" && podCause !== undefined) {
    return { cause: podCause, reason: pod.reason, message: pod.message };
  }
  if (node?.presence === "Absent") {
    return { cause: "NodeLost", reason: "NodeGone", message: `Node ${node.name} was deleted.` };
  }
  if (node?.outOfService) {
    return { cause: "NodeLost", reason: "NodeOutOfService", message: `Node ${node.name} is tainted out-of-service.` };
  }
  const { state } = pod.trainer;
  if (state.kind === "Terminated" && state.reason === "ContainerStatusUnknown") {
    return { cause: "NodeLost", reason: state.reason, message: `Node ${pod.node} lost track of the container.` };
  }
  if (pod.deletionRequestedAt === null) return null;
  // Both times are cut to whole seconds, so a deletion in the second of the trainer's end still counts as its cause.
  const endedBefore =
    state.kind === "Terminated" && state.finishedAt !== null && state.finishedAt < pod.deletionRequestedAt;
  return endedBefore ? null : { cause: "Deleted", reason: "PodDeleted", message: "Somebody deleted the pod." };
}
