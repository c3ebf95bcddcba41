import type { RefusedSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import { RestoreFailure } from "@trainingrun/checkpoint/contract/termination.ts";
import { type AttemptEntry, type RefusedEntry, statusLimits, type TrainingRunStatus } from "../api/status.ts";
import type { Observed } from "./observed.ts";
import { runningStates } from "./running-states.ts";
import type { Survey } from "./survey.ts";
import { workerOf } from "./workers.ts";

/** The verifier's reason where nothing is there to be read. */
const missing = "Missing";

/** The nodes that the next attempt should rather not run on: checkpoints that may be good did not verify there. */
export function suspectedNodes(status: TrainingRunStatus): string[] {
  const nodes = suspicions(status).flatMap(
    ({ pods, suspectNode }) => suspectNode ?? pods.flatMap(({ node }) => (node === undefined ? [] : [node])),
  );
  return [...new Set(nodes)].toSorted();
}

/**
 * Whether a checkpoint that did not verify is no candidate any more. One node's word is not enough: its memory or its
 * mount may be what is damaged, and a good checkpoint would be lost. A second node's about this very checkpoint is; and
 * where only one node can run the pod, its word counts the third time, or the run would read the same bytes for ever.
 */
export function isConfirmed(entry: RefusedEntry): boolean {
  const words = wordsAgainst(entry);
  return words.length >= statusLimits.namings || new Set(words.map(({ node }) => node)).size > 1;
}

/**
 * What of the record stands against a checkpoint: one word for each attempt, however often it says it. What was not there
 * at all was not read, and may come back. An entry of an older version keeps one word, which is no older than the checkpoint.
 */
export function wordsAgainst({ namedBy, reason, attempt, node }: RefusedEntry): NonNullable<RefusedEntry["namedBy"]> {
  return namedBy ?? (reason === missing ? [] : [{ attempt, node }]);
}

/** An entry with the word of an attempt that could not match the checkpoint either. More than are needed are not kept. */
export function named(entry: RefusedEntry, said: RefusedSummary, attempt: number): RefusedEntry {
  const words = wordsAgainst(entry);
  const isKnown = words.some((word) => word.attempt === attempt);
  if (said.reason === missing || isKnown || words.length >= statusLimits.namings) return entry;
  const namedBy = [...words, { attempt, node: said.node }];
  return entry.reason === missing ? { ...said, namedBy } : { ...entry, namedBy };
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
