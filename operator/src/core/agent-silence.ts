import type { Instant, Observed, ObservedPod } from "./observed.ts";

/** An agent that has not answered for so long is called silent. */
export const agentPatienceMs = 60_000;

/**
 * When the agent of a pod was last heard; null where that cannot be told. One that was not heard yet is waited for from
 * when its trainer began, or from when this operator began to ask, which may be later. Where that is not known, one
 * that has trained was heard by the operator before this one.
 */
export function heardAt(
  { reports, askingSince, now }: Observed,
  pod: ObservedPod,
  hasTrained: boolean,
): Instant | null {
  const report = reports.find(({ podUid }) => podUid === pod.uid);
  if (report !== undefined) return report.heardAt ?? null;
  const { startedAt } = pod.trainer;
  if (startedAt === null || (hasTrained && askingSince === undefined)) return null;
  // By the node's clock: where that is off, it is since there was the pod.
  const began = startedAt > now ? pod.createdAt : Math.max(pod.createdAt, startedAt);
  return Math.max(began, askingSince ?? began);
}

/** Whether the agent of a pod has answered of late: then its node runs it, whatever is said of the node. */
export function hasAnswered({ reports, now }: Observed, podUid: string): boolean {
  const report = reports.find((each) => each.podUid === podUid);
  return report !== undefined && now - (report.heardAt ?? report.receivedAt) < agentPatienceMs;
}
