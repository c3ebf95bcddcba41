import { fieldsOf, listOf } from "../../api/object.ts";
import type { ActRow } from "./act-row.ts";
import type { Scene } from "./scene.ts";

const beginning = { isQueued: true } as const;

/** What holds the second pod back; its node once nothing does. */
function waiting(scene: Scene): unknown {
  const { schedulingGates, nodeName } = fieldsOf(scene.pod(2)?.spec);
  const gates = listOf(schedulingGates).map((gate) => fieldsOf(gate).name);
  return gates.length > 0 ? gates : nodeName !== undefined;
}

/** Who takes the first pod, and how. */
function taking(scene: Scene): unknown {
  const pod = scene.pod();
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod?.metadata ?? {};
  const { reason = "nobody" } = scene.condition(pod, "TerminationTarget");
  return deletionTimestamp === undefined ? "stays" : `${reason}, ${deletionGracePeriodSeconds} s`;
}

/** Acts of the queue that a run is in. */
export const queueRows: readonly ActRow[] = [
  {
    kind: "QueueHolds",
    does: "lets no pod of the run go to the scheduler",
    beginning,
    next: (scene) => scene.preempt(),
    look: waiting,
    before: false,
    afterMs: 10_000,
    during: ["kueue.x-k8s.io/admission"],
    lift: { forMs: 11_000, settleMs: 5_000, after: true },
  },
  {
    kind: "QueueTakesBack",
    does: "has the queue say that it takes the pod's room, and delete it",
    beginning,
    look: taking,
    before: "stays",
    during: "WorkloadEvictedDueToPreempted, 30 s",
  },
  {
    kind: "QueueTakesBack",
    does: "leaves a pod alone that is in no queue",
    look: taking,
    before: "stays",
    during: "stays",
  },
];
