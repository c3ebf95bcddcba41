import { RestoreFailure } from "@trainingrun/checkpoint/contract/termination.ts";
import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import type { Observed } from "./observed.ts";
import { runningStates } from "./running-states.ts";
import type { Survey } from "./survey.ts";
import { workerOf } from "./workers.ts";

/** So many attempts in a row that ended so, wherever they ran, and the checkpoints are at fault, not the nodes. */
const maxSuspicions = 3;

/** The nodes that the next attempt should rather not run on: checkpoints that may be good did not verify there. */
export function suspectedNodes(status: TrainingRunStatus): string[] {
  const nodes = suspicions(status).flatMap(
    ({ pods, suspectNode }) => suspectNode ?? pods.flatMap(({ node }) => (node === undefined ? [] : [node])),
  );
  return [...new Set(nodes)].toSorted();
}

/**
 * Whether what did not verify is given up. One node's word is not enough: its memory or its mount may be what is
 * damaged, and good checkpoints would be lost. A second node's is; and where only one node can run the pod, its word
 * counts in the end, or the run would read the same bytes for ever.
 */
export function isSuspicionConfirmed(status: TrainingRunStatus): boolean {
  return suspectedNodes(status).length > 1 || suspicions(status).length >= maxSuspicions;
}

/** The reason of an end with NodeSuspect where the attempt had begun: its restore found nothing wrong, and its agent did. */
export const readBackReason = "ReadBack";

/** What an agent of the open attempt says against the node that it is on, in words; null where none does. */
export function toldSuspicion(observed: Observed, scene: Survey): string | null {
  const problems = runningStates(observed, scene).flatMap((state) => state.problems);
  return problems.find(({ reason }) => reason === RestoreFailure.enum.NodeSuspect)?.message ?? null;
}

/** The node of the one pod of a gang whose agent reads checkpoints back. */
export function readBackNode(entry: AttemptEntry): string | undefined {
  return entry.pods.find((pod) => workerOf(entry, pod) === 0)?.node;
}

/**
 * The ends with NodeSuspect since an attempt last opened that did not end so. Ends in between that never came so far change
 * nothing.
 */
function suspicions({ attempts = [] }: TrainingRunStatus): AttemptEntry[] {
  const opened = attempts.findIndex((entry) => entry.opened && entry.cause !== "NodeSuspect");
  return (opened === -1 ? attempts : attempts.slice(0, opened)).filter(({ cause }) => cause === "NodeSuspect");
}
