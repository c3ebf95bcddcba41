import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { CheckpointRef } from "@trainingrun/checkpoint/log/state.ts";
import type { FailedVerdict } from "@trainingrun/checkpoint/tiers/mend.ts";

/**
 * `OutOfSight`: it was saved a moment ago, and the volume may only not show it yet. `Missing`: it is in no tier. `Doubted`:
 * what is there does not match, and no other copy was tried. `PutOff`: that has to wait. `Held`: no copy helps. `NotKept`:
 * another copy helps, and what is written of it does not match on this node either.
 */
type Fate = "OutOfSight" | "Missing" | "Doubted" | "PutOff" | "Held" | "NotKept";

/** A checkpoint that this node does not match, and that nobody has refused. Times are milliseconds of a monotonic clock. */
export type Unmatched = Readonly<{
  ref: CheckpointRef;
  found: FailedVerdict;
  fate: Fate;
  /** By the wall clock, for people: when this was first found. */
  time: string;
  /** When the first reading ended that did not match what is there, and when the last one began. */
  failedMs: number;
  readMs: number;
  /** When there is something to do about it again. */
  againMs: number;
  /** How often it came to nothing, by which the pauses grow, and how often that was because no copy helped. */
  rounds: number;
  inVain: number;
  /** Why no other copy is tried at present; null where nothing is in the way. */
  putOff: string | null;
}>;

export type Entries = ReadonlyMap<Digest, Unmatched>;

/** What became of one reading, or of one try to mend. */
export type Event =
  | Readonly<{
      kind: "Differs";
      ref: CheckpointRef;
      found: FailedVerdict;
      beganMs: number;
      endedMs: number;
      time: string;
      /** Whether the volume may only not show it yet. */
      isYoung: boolean;
    }>
  | Readonly<{ kind: "NoCopyHelps" | "CopyNotKept"; digest: Digest; found: FailedVerdict; atMs: number }>
  | Readonly<{ kind: "PutOff"; digest: Digest; why: string; atMs: number }>
  /** Matched, refused, or gone from the log. */
  | Readonly<{ kind: "Settled"; digests: ReadonlySet<Digest> }>;

/** So long it has to go on failing before one node's word is taken for it: longer than a burst of errors. */
export const patienceMs = 5 * 60_000;
const longestPauseMs = 60 * 60_000;
const soonMs = 1_000;
const missingAgainMs = 60_000;

/**
 * The entries after an event: what one agent cannot match, in one life of it. It says what is the case and nothing of what
 * is to be done; see `nextDeed`.
 *
 *     does not match ─► Doubted ─ mended ─► settled              young, and not there ─► OutOfSight ─ soon ─┐
 *         ▲                │ ▲                                                                              │
 *         │                │ └─ later ── PutOff ◄─ no room, or a new commit                                 │
 *         │                ├─ no copy helps ───► Held ────┐ after minutes, then ever more rarely            │
 *         │                ├─ the copy differs ► NotKept ─┤                                                 │
 *         │                └─ it is nowhere ───► Missing ─┤ after a minute                                  │
 *         └──────────── read again ◄──────────────────────┴─────────────────────────────────────────────────┘
 */
export function next(entries: Entries, event: Event): Entries {
  switch (event.kind) {
    case "Differs":
      return withEntry(entries, differing(entries.get(event.ref.digest), event));
    case "NoCopyHelps":
    case "CopyNotKept":
    case "PutOff": {
      const entry = entries.get(event.digest);
      return entry === undefined ? entries : withEntry(entries, tried(entry, event));
    }
    case "Settled":
      return new Map([...entries].filter(([digest]) => !event.digests.has(digest)));
    default:
      return event satisfies never;
  }
}

function withEntry(entries: Entries, entry: Unmatched): Entries {
  return new Map([...entries, [entry.ref.digest, entry]]);
}

function differing(before: Unmatched | undefined, event: Extract<Event, { kind: "Differs" }>): Unmatched {
  const { ref, found, beganMs, endedMs, isYoung } = event;
  // That it was not there says nothing of the bytes that are there by now.
  const failed = before === undefined || before.fate === "OutOfSight" || before.fate === "Missing" ? undefined : before;
  return {
    ...{ ref, found, fate: isYoung ? "OutOfSight" : "Doubted", time: before?.time ?? event.time },
    ...{ failedMs: failed?.failedMs ?? endedMs, readMs: beganMs, againMs: endedMs + (isYoung ? soonMs : 0) },
    ...{ rounds: failed?.rounds ?? 0, inVain: before?.inVain ?? 0, putOff: null },
  };
}

function tried(entry: Unmatched, event: Exclude<Event, { kind: "Differs" | "Settled" }>): Unmatched {
  const rounds = entry.rounds + 1;
  const { atMs } = event;
  const againMs = atMs + Math.min(longestPauseMs, patienceMs * 2 ** Math.min(entry.rounds, 10));
  if (event.kind === "PutOff") return { ...entry, fate: "PutOff", rounds, againMs, putOff: event.why };
  const { found } = event;
  if (found.reason === "Missing") return { ...entry, found, fate: "Missing", againMs: atMs + missingAgainMs };
  const fate = event.kind === "NoCopyHelps" ? "Held" : "NotKept";
  return { ...entry, found, fate, rounds, againMs, inVain: entry.inVain + 1 };
}
