import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { advancing } from "./advance.ts";
import type { Addition } from "./draft.ts";
import { partingEnd } from "./gang.ts";
import { timeOf } from "./instant.ts";
import type { Observed, ObservedPod } from "./observed.ts";
import { isQueued, obstacleOf, stuckPod } from "./obstacle.ts";
import { progressing, said } from "./progressing.ts";
import type { Obstacle } from "./supported.ts";
import type { Survey } from "./survey.ts";

/** What a queue says of a pod changes without the pod. */
const queueRetryMs = 60_000;
/** A pod that has a node and no container yet is looked at this often: what it waits for is told in events alone. */
const beginRetryMs = 15_000;

/**
 * Says how an attempt fares whose pods are all there: by the first of them that something hinders, else by its worker 0, which
 * alone reports steps that the others do with it.
 */
export function faring(observed: Observed, status: TrainingRunStatus, scene: Survey): Addition {
  const { entry, members } = scene;
  const pods = members.map(({ pod }) => pod);
  const leader = pods.find(({ worker }) => worker === 0) ?? pods[0];
  if (entry === null || leader === undefined) return {};
  const obstacle = firstOf(pods, (pod) => obstacleOf(observed, pod));
  if (obstacle !== null) {
    const state = leader.trainer.state.kind === "Running" ? "Running" : "Pending";
    return { state, ...said(observed, obstacle), waits: pods.flatMap(beginWait) };
  }
  const deleted = pods.find((pod) => pod.deletionRequestedAt !== null && (pod === leader || !hasEnded(pod)));
  if (deleted !== undefined) return beingDeleted(observed, deleted);
  if (pods.some(hasEnded)) return finishing(observed, scene, { entry, leader });
  const starting = pods.find((pod) => pod.agent.state.kind === "Waiting" && pod.trainer.state.kind === "Waiting");
  if (starting !== undefined) {
    const message = `The pod ${starting.name} is starting.`;
    return {
      state: "Pending",
      statements: [progressing("False", "Starting", message)],
      waits: pods.flatMap(beginWait),
    };
  }
  return advancing(observed, status, { entry, pod: leader });
}

/** What a judge finds of the first of some pods; null where it finds nothing of any. */
export function firstOf(pods: readonly ObservedPod[], judge: (pod: ObservedPod) => Obstacle | null): Obstacle | null {
  return pods.map(judge).find((obstacle) => obstacle !== null) ?? null;
}

function beingDeleted(observed: Observed, pod: ObservedPod): Addition {
  const stuck = stuckPod(pod, observed.now);
  if (stuck !== null) return { state: "Saving", ...said(observed, stuck) };
  const message = `The pod ${pod.name} is being deleted and saves a final checkpoint.`;
  return { state: "Saving", statements: [progressing("False", "PodStopping", message)] };
}

function finishing(
  observed: Observed,
  scene: Survey,
  { entry, leader }: { entry: AttemptEntry; leader: ObservedPod },
): Addition {
  const until = partingEnd(observed, scene);
  const left = scene.members.filter(({ pod }) => !hasEnded(pod)).map(({ pod }) => pod.worker);
  const waiting =
    until === null || left.length === 0
      ? ""
      : ` Workers ${left.join(", ")} have until ${timeOf(until)} to end as well, and are then asked to stop.`;
  const message = hasEnded(leader)
    ? `The trainer of attempt ${entry.number} has ended; its agent verifies what it left.${waiting}`
    : `A part of attempt ${entry.number} is done.${waiting}`;
  return {
    state: "Saving",
    statements: [progressing("False", "Finishing", message)],
    waits: until === null ? [] : [until - observed.now],
  };
}

function hasEnded({ trainer }: ObservedPod): boolean {
  return trainer.state.kind === "Terminated";
}

/** Nothing of the pod changes while its kubelet waits for a volume, or it for its queue, so it is looked at again. */
function beginWait(pod: ObservedPod): number[] {
  if (isQueued(pod)) return [queueRetryMs];
  return pod.phase === "Pending" && pod.node !== null ? [beginRetryMs] : [];
}
