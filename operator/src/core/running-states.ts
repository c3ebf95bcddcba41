import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { Observed } from "./observed.ts";
import type { Survey } from "./survey.ts";

/**
 * What the agents of the open attempt say beside a trainer that runs. A pod that somebody else has asked to go is gone for
 * their reason, and one whose trainer has ended for its own: nothing that its agent says stops it any more.
 */
export function runningStates({ reports }: Pick<Observed, "reports">, { entry, members }: Survey): AgentState[] {
  if (entry === null) return [];
  return members.flatMap(({ pod }) => {
    if (pod.trainer.state.kind !== "Running" || pod.deletionRequestedAt !== null) return [];
    return reports.find(({ podUid, state }) => podUid === pod.uid && state.attempt === entry.number)?.state ?? [];
  });
}
