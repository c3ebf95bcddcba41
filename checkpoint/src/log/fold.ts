import { directoryName } from "../directory-name.ts";
import type { LogRecord, NumberedRecord } from "./record.ts";
import { type AttemptLink, type CarriedState, type CheckpointRef, emptyState, type RunState } from "./state.ts";

/**
 * The state of a run from its records in order (I1). It may start at any `open`, which carries what lies below:
 *
 *     open a1 ── commit ── commit ──┬── open a2 ── commit ...      a2's base is the first commit: the second
 *                     zombie a1's commit ┘                         and everything a1 writes now is no candidate
 */
export function fold(records: readonly NumberedRecord[]): RunState {
  const [first] = records;
  const start =
    first !== undefined && "record" in first && first.record.kind === "open"
      ? { ...emptyState, ...first.record.state }
      : emptyState;
  return foldOn(start, records);
}

/** The state after these records, which follow directly on the last one that `state` is folded from. */
export function foldOn(state: RunState, records: readonly NumberedRecord[]): RunState {
  return records.reduce(step, state);
}

/** Why a record would count for nothing in this state, or null where it counts. Writers ask before they append. */
export function voidReason(state: RunState, record: Judged): string | null {
  const { opened } = state;
  if (record.kind === "open") return openVoidReason(state, record);
  if (opened === null) return "no attempt has opened the log";
  if (record.attempt < opened.attempt) return `attempt ${opened.attempt} has opened the log`;
  // A restore refuses what fails before its own attempt opens; nothing else may come from an attempt that is not open.
  if (record.attempt > opened.attempt && record.kind !== "refuse") return `attempt ${record.attempt} is not open`;
  switch (record.kind) {
    case "commit":
      // "Newer" is a higher step in the lineage, so a lineage must not go back.
      if (record.step < baseStep(state)) return `its step ${record.step} is below its base's, ${baseStep(state)}`;
      if (find(state, record.manifest) !== undefined) return `${record.manifest} is committed already`;
      if (state.deleted.some(({ digest }) => digest === record.manifest)) return `${record.manifest} was deleted`;
      if (record.directory !== directoryName(record.step, record.attempt)) return "the directory is another's";
      if ([...state.checkpoints, ...state.deleted].some(({ directory }) => directory === record.directory)) {
        return "the directory is taken";
      }
      return null;
    case "refuse":
      if (find(state, record.manifest) === undefined) return `${record.manifest} is no checkpoint of this log`;
      return isRefused(state, record.manifest) ? `${record.manifest} is refused already` : null;
    case "delete":
      // The base of the last open and the final checkpoint are never deleted (I6).
      for (const digest of record.manifests) {
        if (digest === opened.base) return `${digest} is the base of attempt ${opened.attempt}`;
        if (digest === state.done?.manifest) return `${digest} is the final checkpoint`;
        if (find(state, digest) === undefined) return `${digest} is no checkpoint of this log`;
      }
      return null;
    case "done":
      if (find(state, record.manifest) === undefined) return `${record.manifest} is no checkpoint of this log`;
      return isRefused(state, record.manifest) ? `${record.manifest} is refused` : null;
    default:
      return record satisfies never;
  }
}

/** What a record must say to be judged; drafts have it too. */
export type Judged = {
  [K in LogRecord["kind"]]: Omit<Extract<LogRecord, { kind: K }>, "version" | "writer" | "time" | "state">;
}[LogRecord["kind"]];

/** What an `open` appended to this state has to carry. */
export function carry(state: RunState): CarriedState {
  return {
    attempts: [...state.attempts],
    checkpoints: [...state.checkpoints],
    refused: [...state.refused],
  };
}

/** The checkpoint of that digest, refused or not, or undefined where the log has none. */
export function find(state: RunState, digest: string): CheckpointRef | undefined {
  return state.checkpoints.find((ref) => ref.digest === digest);
}

/** Whether the log refuses that checkpoint. */
export function isRefused(state: RunState, digest: string): boolean {
  return state.refused.some((refusal) => refusal.digest === digest);
}

function baseStep({ attempts, opened }: RunState): number {
  return attempts.find(({ attempt }) => attempt === opened?.attempt)?.base?.step ?? 0;
}

function openVoidReason(state: RunState, record: Extract<Judged, { kind: "open" }>): string | null {
  const { opened } = state;
  if (opened !== null && record.attempt < opened.attempt) return `attempt ${opened.attempt} has opened the log`;
  if (opened !== null && record.attempt === opened.attempt) {
    if (record.podUid !== opened.podUid) return `pod ${opened.podUid} has opened attempt ${opened.attempt}`;
    // The pod that opened may choose again only while nothing was built on its first choice.
    if (state.checkpoints.some(({ attempt }) => attempt === opened.attempt)) return "it has commits already";
  }
  if (record.base === null) return null;
  if (find(state, record.base) === undefined) return `its base ${record.base} is no checkpoint of this log`;
  return isRefused(state, record.base) ? `its base ${record.base} is refused` : null;
}

function step(state: RunState, entry: NumberedRecord): RunState {
  const next = { ...state, last: entry.number };
  if ("damaged" in entry) return { ...next, damaged: [...state.damaged, entry.number] };
  return voidReason(state, entry.record) === null ? apply(next, entry.number, entry.record) : next;
}

function apply(state: RunState, number: number, record: LogRecord): RunState {
  const { attempt, time } = record;
  switch (record.kind) {
    case "open": {
      const { podUid, node, base, generation } = record;
      const opened = { attempt, podUid, node, base, generation, number, time };
      return { ...state, opened, attempts: link(state, attempt, base), deleted: [], done: null };
    }
    case "commit": {
      const { manifest: digest, step, directory, bytes, metrics, unhealthy } = record;
      const ref = { digest, step, attempt, directory, bytes, metrics, unhealthy, time };
      return { ...state, checkpoints: [...state.checkpoints, ref] };
    }
    case "refuse": {
      const { manifest: digest, reason, message, node } = record;
      return { ...state, refused: [...state.refused, { digest, attempt, reason, message, node, time }] };
    }
    case "delete": {
      const gone = new Set(record.manifests);
      const removed = state.checkpoints.filter(({ digest }) => gone.has(digest));
      return {
        ...state,
        checkpoints: state.checkpoints.filter(({ digest }) => !gone.has(digest)),
        refused: state.refused.filter(({ digest }) => !gone.has(digest)),
        deleted: [...state.deleted, ...removed.map(({ digest, directory }) => ({ digest, directory }))],
      };
    }
    case "done":
      return { ...state, done: { attempt, manifest: record.manifest } };
    default:
      return record satisfies never;
  }
}

/**
 * Adds the new attempt's link and shortens the others: an attempt of which nothing is left is skipped over, so
 * that a run of ten thousand attempts carries only those that still have checkpoints.
 */
function link(state: RunState, attempt: number, base: string | null): AttemptLink[] {
  const older = state.attempts.filter((other) => other.attempt !== attempt);
  const links = new Map(older.map((other) => [other.attempt, other]));
  const alive = (at: AttemptLink["base"]) =>
    at === null || state.checkpoints.some((ref) => ref.attempt === at.attempt && ref.step <= at.step);
  const shorten = (start: AttemptLink["base"]) => {
    let at = start;
    while (at !== null && !alive(at)) at = links.get(at.attempt)?.base ?? null;
    return at;
  };
  const kept = older
    .filter((other) => state.checkpoints.some((ref) => ref.attempt === other.attempt))
    .map((other) => ({ attempt: other.attempt, base: shorten(other.base) }));
  const ref = base === null ? undefined : find(state, base);
  const place = ref === undefined ? null : { digest: ref.digest, attempt: ref.attempt, step: ref.step };
  return [...kept, { attempt, base: place }];
}
