import { ended, type TestRow } from "./row.ts";

const shapes = "operator/src/core/disruption.test.ts";

/** What other tests show. */
export const testRows: readonly TestRow[] = [
  {
    where: "ClusterTest",
    way: "nodeLost: Fence, on a node that is silent for too long",
    says: ended("NodeLost", "Disruption", ["Fenced"]),
    file: "e2e/test/node-loss.cluster.test.ts",
    title: "is left behind: nothing that its pod writes later counts",
    why: "It takes the node and what still runs on it for itself.",
  },
  {
    where: "RecordedShape",
    way: "a node that shuts down",
    says: ended("NodeShutdown", "Disruption", ["TerminationByKubelet"]),
    file: shapes,
    title: "a node that shuts down",
    why: "A kubelet hears of it from systemd-logind, which container nodes do not have.",
  },
  {
    where: "RecordedShape",
    way: "a kubelet that makes room for a critical pod",
    says: ended("Preempted", "Disruption", ["Preempting"]),
    file: shapes,
    title: "a kubelet that makes room for a critical pod",
    why: "It takes a static pod of a system's priority, and a node that is full.",
  },
  {
    where: "RecordedShape",
    way: "a node that was started again under its containers",
    says: ended("NodeLost", "Disruption", ["Unknown", "ContainerStatusUnknown"]),
    file: shapes,
    title: "a node that was started again under its containers",
    why: "A container node cannot be started again with its containers.",
  },
  {
    where: "ClusterTest",
    way: "Kueue takes the room back",
    says: ended("Preempted", "Nothing", ["WorkloadEvictedDueToPreempted"]),
    file: "e2e/measure/kueue.ts",
    title: "Kueue's preemption is the cause, and is charged to nobody",
    why: "It takes Kueue, and three runs.",
  },
  {
    where: "RecordedShape",
    way: "a pod that is gone without a trace",
    says: ended("Deleted", "Disruption", ["GoneWithoutTrace"]),
    file: "operator/src/core/cause.test.ts",
    title: "a pod gone without a trace",
    why: "The operator's finalizer keeps the pod until its end is on record.",
  },
  {
    where: "RecordedShape",
    way: "an agent that reads back two checkpoints which had been whole, and matches neither",
    says: ended("NodeSuspect", "Nothing", ["ReadBack"]),
    file: "operator/src/core/node-suspicion.test.ts",
    title: "has the attempt ended uncharged, and the next one kept off the node",
    why: "It takes a node that reads wrongly: an agent soon has matched all that a deed could damage.",
  },
];
