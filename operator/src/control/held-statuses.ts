import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import type { Decision } from "../core/decision.ts";
import { mergePatchOf } from "../kubernetes/merge-patch.ts";

// A pod comes into being in a burst: it stands, it has a node, it runs, its agent answers, all within a moment and each a
// change of the status. A write of its own for each would cost the API server more than the pod itself.
//
//              only tells
//   (none) ───────────────► Held ──(half a second since the first of them)──► due: written, and Held no more
//      ▲                     │ │
//      └── as it was again ──┘ └──(something that decides, an action or an event is with it)──► due at once

/** How long a status that only tells may wait for what comes next, so that one write has both. */
const longestMs = 500;

/** What a pass decided, beside the status that stands. */
export type Weighed = Readonly<{
  stored: TrainingRunStatus;
  decision: Pick<Decision, "status" | "actions" | "events">;
}>;

/**
 * Statuses that are decided and not written yet, because they only tell. Held in the picture alone: each pass decides anew
 * from what stands, so what is dropped with a term, or with its process, is decided again by whoever is next.
 *
 * What is held decides nothing. Words and states are for people; every intent, number, budget, choice, fence and end is
 * written at once, before whatever rests on it. So is a pod with its node. One without a node has run nothing: should the
 * operator die before it is on record, whoever is next finds it by its owner; should it vanish as well, it is made once
 * more under its name, as after a creation whose record was lost, and of the two the log lets one train.
 */
export class HeldStatuses {
  readonly #now: () => number;
  /** By the uid of the run, since when its status has differed from what stands. */
  readonly #since = new Map<string, number>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** How many milliseconds longer the decision may wait to be written; 0 where it is to be written now. */
  leftMs(runUid: string, weighed: Weighed): number {
    const now = this.#now();
    const since = this.#since.get(runUid) ?? now;
    const leftMs = onlyTells(weighed) ? since + longestMs - now : 0;
    if (leftMs > 0) this.#since.set(runUid, since);
    else this.#since.delete(runUid);
    return Math.max(0, leftMs);
  }

  /** The run is gone. */
  forget(runUid: string): void {
    this.#since.delete(runUid);
  }
}

/** Whether there is something to write, and none of it is waited for by a decision, an action or an event. */
function onlyTells({ stored, decision }: Weighed): boolean {
  const { status, actions, events } = decision;
  if (actions.length > 0 || events.length > 0 || mergePatchOf(stored, status) === undefined) return false;
  return mergePatchOf(decisive(stored), decisive(status)) === undefined;
}

/** Conditions that are read again by the next decision; of the others the words, and the time of the turn, are all. */
const deciding: readonly string[] = ["Complete", "Failed", "Suspended"];

/** The status without what only tells. */
function decisive({ state: _, conditions = [], attempts = [], ...decided }: TrainingRunStatus): unknown {
  const [newest, ...earlier] = attempts;
  return {
    ...decided,
    conditions: conditions.filter(({ type }) => deciding.includes(type)),
    attempts: newest === undefined ? [] : [begun(newest), ...earlier],
  };
}

/** What has begun of an attempt: pods that have a node. How long it took to come so far is for people. */
function begun({ recoverySeconds: _, pods, ...entry }: AttemptEntry): unknown {
  return { ...entry, pods: pods.filter(({ node }) => node !== undefined) };
}
