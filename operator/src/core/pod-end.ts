import type { Instant, ObservedNode, ObservedPod } from "./observed.ts";

/**
 * Whether anything of a pod can still run. `unreported`: the kubelet did not say so, but the node is gone or a
 * person vouches for it; only then may a silent pod be taken for ended under nodeLost: Wait.
 */
export type PodEnd = Readonly<{ kind: "Alive" }> | Readonly<{ kind: "Ended"; at: Instant; unreported: boolean }>;

/** Judges one pod, with the node it is bound to. */
export function podEnd(pod: ObservedPod, node: ObservedNode | undefined, now: Instant): PodEnd {
  if (pod.phase === "Succeeded" || pod.phase === "Failed" || everyContainerEnded(pod)) {
    return { kind: "Ended", at: lastFinish(pod) ?? now, unreported: false };
  }
  if (pod.node === null && pod.deletionRequestedAt !== null) return { kind: "Ended", at: now, unreported: false };
  if (node?.presence === "Absent" || node?.outOfService) return { kind: "Ended", at: now, unreported: true };
  return { kind: "Alive" };
}

/**
 * Whether a pod that is gone from the API may still run: taking its object away by force stops no container, and a
 * silent node has not heard of it. Once it is ready again, its kubelet ends what the API no longer has.
 */
export function mayRunUnseen(node: ObservedNode | undefined): boolean {
  return node?.presence === "Present" && node.ready !== "True" && !node.outOfService;
}

/** True once the trainer has run: from then on an edit waits for the next attempt. */
export function hasStarted({ trainer }: ObservedPod): boolean {
  return trainer.state.kind !== "Waiting" || trainer.previousEnd !== null;
}

/** True where the trainer has ended and another container of the template keeps the pod alive. */
export function lingers({ trainer, others }: ObservedPod): boolean {
  return (
    trainer.state.kind === "Terminated" &&
    others.some(({ role, state }) => role === "Regular" && state.kind !== "Terminated")
  );
}

function everyContainerEnded(pod: ObservedPod): boolean {
  return containersOf(pod).every((container) => container.state.kind === "Terminated");
}

function lastFinish(pod: ObservedPod): Instant | null {
  const finishes = containersOf(pod).flatMap(({ state }) =>
    state.kind === "Terminated" && state.finishedAt !== null ? [state.finishedAt] : [],
  );
  return finishes.length === 0 ? null : Math.max(...finishes);
}

function containersOf(pod: ObservedPod): Pick<ObservedPod["trainer"], "state">[] {
  return [pod.trainer, pod.agent, ...(pod.restore ? [pod.restore] : []), ...pod.others];
}
