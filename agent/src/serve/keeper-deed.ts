import type { RefusedSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { CheckpointRef } from "@trainingrun/checkpoint/log/state.ts";
import { type Entries, patienceMs, type Unmatched } from "./keeper-unmatched.ts";

/** What the keeper knows of its checkpoints as it decides what to do. */
export type View = Readonly<{
  entries: Entries;
  /** What of the lineage is neither verified nor refused, newest first. */
  open: readonly CheckpointRef[];
  /** How many this attempt has refused on its node's word alone: by its restore, and by its agent. */
  refusedHere: number;
  /** Whether the operator has heard it from enough nodes. */
  isConfirmed: (digest: Digest) => boolean;
  /** Whether what failed with it was tried too short a time ago. */
  isPausing: (digest: Digest) => boolean;
  /** By a monotonic clock. */
  nowMs: number;
}>;

export type Deed =
  | Readonly<{ kind: "Read"; ref: CheckpointRef }>
  | Readonly<{ kind: "Refuse" | "Mend"; entry: Unmatched }>;

/** With so many the node's memory or its mount is the likelier culprit. */
const suspiciousFailures = 2;

/**
 * The one thing to do next; null where there is nothing. A refusal is for good, and one node's word is little: it is refused
 * only what no copy helps, what went on failing for minutes, and what is the only one to fail here. What is not there is never
 * refused, and nothing is written to the volume while the node is suspected.
 *
 *     read what is new ─► refuse ─► read again ─► mend: all else can wait for none of that
 */
export function nextDeed(view: View): Deed | null {
  const { open, entries, isPausing, nowMs } = view;
  const ready = open.filter(({ digest }) => !isPausing(digest));
  const unread = ready.find(({ digest }) => !entries.has(digest));
  if (unread !== undefined) return { kind: "Read", ref: unread };
  const known = ready.flatMap(({ digest }) => entries.get(digest) ?? []);
  const refusable = known.find((entry) => mayRefuse(entry, view));
  if (refusable !== undefined) return { kind: "Refuse", entry: refusable };
  const due = known.filter(({ againMs }) => againMs <= nowMs);
  const again = due.find((entry) => !awaitsCopy(entry));
  if (again !== undefined) return { kind: "Read", ref: again.ref };
  const mendable = isNodeSuspect(view) ? undefined : due.find(awaitsCopy);
  return mendable === undefined ? null : { kind: "Mend", entry: mendable };
}

/** Whether so much does not match here that it tells of the node: nothing is refused for its word, and nothing mended by it. */
export function isNodeSuspect({ entries, refusedHere, isConfirmed }: View): boolean {
  const failing = [...entries.values()].filter((entry) => isFailing(entry) && !isConfirmed(entry.ref.digest));
  return failing.length > 0 && failing.length + refusedHere >= suspiciousFailures;
}

/** For the operator, of a suspected node: should the next one say the same, they are refused for good. */
export function suspected(view: View, node: string): readonly RefusedSummary[] {
  if (!isNodeSuspect(view)) return [];
  const failing = [...view.entries.values()].filter(isFailing);
  return failing.map(({ ref: { step, attempt, digest }, found: { reason, message }, time }) => {
    return { step, attempt, digest, reason, message, node, time };
  });
}

/** Whether what is there did not match, and whatever could be tried was tried at least once. */
export function isFailing({ inVain, found }: Unmatched): boolean {
  return inVain > 0 && found.reason !== "Missing";
}

function mayRefuse(entry: Unmatched, view: View): boolean {
  const { entries, open, isConfirmed } = view;
  if (entry.fate !== "Held" || entry.found.reason === "Missing" || isNodeSuspect(view)) return false;
  // Nobody knows whether it is the only one before all else was read, and mended as far as it can be.
  const isOpen = ({ digest }: CheckpointRef) => {
    const other = entries.get(digest);
    return other === undefined || (awaitsCopy(other) && other.found.reason !== "Missing");
  };
  if (open.some(isOpen)) return false;
  return isConfirmed(entry.ref.digest) || entry.readMs - entry.failedMs >= patienceMs;
}

/** Whether other copies are to be tried next, and not the one that is there. */
function awaitsCopy({ fate }: Unmatched): boolean {
  return fate === "Doubted" || fate === "PutOff";
}
