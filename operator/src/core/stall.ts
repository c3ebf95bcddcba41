import type { StallState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { Observed } from "./observed.ts";
import type { Survey } from "./survey.ts";

/**
 * What an agent of the open attempt says of a trainer that does no step any more; null where none says so. The agent
 * judges by the time that its attempt began with, but a run that watches for stalls no more is not stopped by one. A pod
 * that somebody else has asked to go is gone for their reason.
 */
export function stallOf({ run, reports }: Observed, { entry, members }: Survey): StallState | null {
  if (run.spec.stall === undefined || entry === null) return null;
  const stalls = members.flatMap(({ pod }) => {
    if (pod.trainer.state.kind !== "Running" || pod.deletionRequestedAt !== null) return [];
    const report = reports.find(({ podUid, state }) => podUid === pod.uid && state.attempt === entry.number);
    return report?.state.stall ?? [];
  });
  return stalls[0] ?? null;
}
