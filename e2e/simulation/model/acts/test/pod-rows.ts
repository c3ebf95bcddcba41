import { labels } from "@trainingrun/operator/api/names.ts";
import { eventsOf } from "../../../judge/history.ts";
import { fieldsOf, listOf } from "../../api/object.ts";
import type { ActRow } from "./act-row.ts";
import type { Scene } from "./scene.ts";

const grace = "30 s";

/** What the first pod says of its own end: who ends it, and how much time it has. */
function ending(scene: Scene): string {
  const pod = scene.pod();
  if (pod === undefined) return "gone";
  const { deletionTimestamp, deletionGracePeriodSeconds } = pod.metadata;
  const { reason = "nobody" } = scene.condition(pod, "DisruptionTarget");
  return deletionTimestamp === undefined ? "stays" : `${reason}, ${deletionGracePeriodSeconds} s`;
}

/** Whose the first pod says that it is. */
function marks(scene: Scene): unknown {
  const { labels: carried = {}, ownerReferences = [] } = scene.pod()?.metadata ?? {};
  const { [labels.runUid]: uid, [labels.attempt]: attempt } = carried;
  return {
    hasUid: uid !== undefined,
    attempt,
    labels: Object.keys(carried).length > 0,
    owners: ownerReferences.length,
  };
}

const well = { hasUid: true, attempt: "1", labels: true, owners: 1 };

/** Why the second pod's trainer is not there. */
function waiting(scene: Scene): unknown {
  const state = scene.container("trainer", 2)?.snapshot.state;
  return state?.kind === "waiting" ? state.reason : (state?.kind ?? "no pod");
}

/** How many pods the run has that nobody has asked to stop. */
function standing(scene: Scene): number {
  return scene.world.podsOf("run-0").filter(({ metadata }) => metadata.deletionTimestamp === undefined).length;
}

/** How often a pod of the run was taken by the scheduler. */
function preemptions(scene: Scene): number {
  const taken = eventsOf(scene.world.history.events, "Write").filter(({ by, change, before, object }) => {
    const isAsked = before?.metadata.deletionTimestamp === undefined && object.metadata.deletionTimestamp !== undefined;
    return by.role === "Scheduler" && change === "MODIFIED" && isAsked;
  });
  return taken.length;
}

/** Acts on pods and their containers, and on what keeps pods from coming to be. */
export const podRows: readonly ActRow[] = [
  {
    kind: "TrainerKilled",
    does: "ends the trainer without a word, and nothing else",
    look: (scene) => scene.ends,
    before: [],
    during: ["trainer Killed 137"],
  },
  {
    kind: "AgentKilled",
    does: "ends the agent without a word, and nothing else",
    look: (scene) => scene.ends,
    before: [],
    during: ["agent Killed 137"],
  },
  {
    kind: "TrainerOutOfMemory",
    does: "ends the trainer as the kernel does",
    look: (scene) => scene.ends,
    before: [],
    during: ["trainer OutOfMemory 137"],
  },
  {
    kind: "TrainerExits",
    does: "ends the trainer with the code that is said",
    args: { code: 42 },
    look: (scene) => scene.ends,
    before: [],
    during: ["trainer Returned 42"],
  },
  {
    kind: "TrainerExits",
    does: "ends the trainer as if all were done, where the code is 0",
    args: { code: 0 },
    look: (scene) => scene.ends,
    before: [],
    during: ["trainer Returned 0"],
  },
  {
    kind: "AgentKilledAtEnd",
    does: "leaves the agent alone until the trainer is done, and ends it then",
    beginning: { targetStep: 3 },
    look: (scene) => scene.ends.filter((end) => /^(agent Killed|trainer)/.test(end)).toSorted(),
    before: [],
    afterMs: 500,
    during: [],
    lift: { forMs: 8_000, after: ["agent Killed 137", "trainer Returned 0"] },
  },
  {
    kind: "PodEvicted",
    does: "asks the pod to stop by the Eviction API, with its grace period",
    look: ending,
    before: "stays",
    during: `EvictionByEvictionAPI, ${grace}`,
  },
  {
    kind: "PodPreempted",
    does: "has the scheduler take the pod, with its grace period",
    look: ending,
    before: "stays",
    during: `PreemptionByScheduler, ${grace}`,
  },
  {
    kind: "PodDeleted",
    does: "deletes the pod as a person does, with its grace period",
    look: ending,
    before: "stays",
    during: `nobody, ${grace}`,
  },
  {
    kind: "PodForceDeleted",
    does: "deletes the pod at once, so that only its finalizer holds it",
    look: ending,
    before: "stays",
    during: "nobody, 0 s",
  },
  ...[
    { ...well, hasUid: false },
    { ...well, attempt: "77" },
    { hasUid: false, labels: false, owners: 1 },
  ].map(
    (during, what): ActRow => ({
      kind: "PodRelabelled",
      does: `alters the labels of the pod in way ${what}`,
      args: { what },
      look: marks,
      before: well,
      during,
    }),
  ),
  {
    kind: "PodRelabelled",
    does: "takes the pod's owner away",
    args: { what: 3 },
    look: marks,
    before: well,
    during: { ...well, owners: 0 },
  },
  {
    kind: "PreemptionStorm",
    does: "takes the pod, and the one that follows it, and no third one",
    args: { times: 2 },
    look: preemptions,
    before: 0,
    during: 1,
    lift: { forMs: 60_000, after: 2 },
  },
  {
    kind: "ImageMissing",
    does: "keeps trainers of the run from starting for want of their image",
    next: (scene) => scene.preempt(),
    look: waiting,
    before: "no pod",
    afterMs: 20_000,
    during: "ImagePullBackOff",
    lift: { forMs: 21_000, settleMs: 10_000, after: "running" },
  },
  {
    kind: "ImageMissing",
    does: "keeps trainers of the run from starting for want of their settings",
    args: { config: 1 },
    next: (scene) => scene.preempt(),
    look: waiting,
    before: "no pod",
    afterMs: 20_000,
    during: "CreateContainerConfigError",
    lift: { forMs: 21_000, settleMs: 10_000, after: "running" },
  },
  {
    kind: "Unschedulable",
    does: "gives no pod to any node",
    target: () => "server",
    next: (scene) => scene.preempt(),
    look: (scene) => {
      const { reason } = scene.condition(scene.pod(2), "PodScheduled");
      return reason ?? fieldsOf(scene.pod(2)?.spec).nodeName !== undefined;
    },
    before: false,
    afterMs: 10_000,
    during: "Unschedulable",
    lift: { forMs: 11_000, settleMs: 5_000, after: true },
  },
  ...(["QuotaSpent", "AdmissionRefuses"] as const).map(
    (kind): ActRow => ({
      kind,
      does: "has the server refuse every pod that an operator creates",
      target: () => "server",
      next: (scene) => scene.preempt(),
      look: standing,
      before: 1,
      afterMs: 10_000,
      during: 0,
      lift: { forMs: 11_000, settleMs: 90_000, after: 1 },
    }),
  ),
];

/** The image that the newest pod has for its agent. */
export function agentImage(scene: Scene): unknown {
  const agents = listOf(fieldsOf((scene.pod(2) ?? scene.pod())?.spec).initContainers).map(fieldsOf);
  return agents.find(({ name }) => name === "agent")?.image;
}
