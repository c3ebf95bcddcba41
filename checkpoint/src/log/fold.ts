import type { Digest } from "../contract/digest.ts";
import { directoryName } from "../directory-name.ts";
import { Ledger } from "./ledger.ts";
import type { LogRecord, NumberedRecord } from "./record.ts";
import { type CarriedState, type CheckpointRef, emptyState, type Imported, type RunState } from "./state.ts";

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
  if (records.length === 0) return state;
  const ledger = new Ledger(state);
  for (const entry of records) {
    if ("damaged" in entry) ledger.lose(entry);
    else if (voidIn(ledger, entry.record) === null) ledger.take(entry.number, entry.record);
    else ledger.pass(entry);
  }
  return ledger.state;
}

/** Why a record would count for nothing in this state, or null where it counts. Writers ask before they append. */
export function voidReason(state: RunState, record: Judged): string | null {
  return voidIn(new Ledger(state), record);
}

/** What a record must say to be judged; drafts have it too. */
export type Judged = {
  [K in LogRecord["kind"]]: Omit<Extract<LogRecord, { kind: K }>, "version" | "writer" | "time">;
}[LogRecord["kind"]];

/**
 * What an `open` takes along beside the state below it: what it imports, and whether the user has named its base to be resumed
 * from. Where it does not say, what is known of that base stays.
 */
export type Luggage = Readonly<{
  imported?: Imported | undefined;
  base?: Digest | null;
  chosen?: boolean | undefined;
}>;

/** What an `open` appended to this state has to carry. What the log itself knows goes before what is imported. */
export function carry(state: RunState, { imported, base, chosen }: Luggage = {}): CarriedState {
  const known = new Set(state.attempts.map(({ attempt }) => attempt));
  const isNew = imported !== undefined && find(state, imported.checkpoint.digest) === undefined;
  const links = imported?.attempts.filter(({ attempt }) => !known.has(attempt)) ?? [];
  const checkpoints = isNew ? [imported.checkpoint, ...state.checkpoints] : state.checkpoints;
  return {
    attempts: [...links, ...state.attempts],
    checkpoints: checkpoints.map((ref) => (ref.digest === base ? marked(ref, chosen) : ref)),
    refused: [...state.refused],
  };
}

/** A base, with the reason for which a resume took it although it is unhealthy. */
function marked(ref: CheckpointRef, isChosen: boolean | undefined): CheckpointRef {
  if (isChosen === true) return { ...ref, chosen: true };
  return isChosen === false && ref.unhealthy && ref.chosen !== true ? { ...ref, accepted: true } : ref;
}

/** The checkpoint of that digest, refused or not, or undefined where the log has none. */
export function find(state: RunState, digest: string): CheckpointRef | undefined {
  return state.checkpoints.find((ref) => ref.digest === digest);
}

/** Whether the log refuses that checkpoint. */
export function isRefused(state: RunState, digest: string): boolean {
  return state.refused.some((refusal) => refusal.digest === digest);
}

function voidIn(ledger: Ledger, record: Judged): string | null {
  const fenced = fenceReason(ledger, record.attempt);
  if (fenced !== null) return fenced;
  if (record.kind === "open") return openVoidReason(ledger, record);
  const { opened } = ledger;
  if (opened === null) return "no attempt has opened the log";
  // A restore refuses what fails before its own attempt opens; nothing else may come from an attempt that is not open.
  if (record.attempt > opened.attempt && record.kind !== "refuse") return `attempt ${record.attempt} is not open`;
  switch (record.kind) {
    case "commit":
      // "Newer" is a higher step in the lineage, so a lineage must not go back.
      if (record.step < ledger.baseStep) return `its step ${record.step} is below its base's, ${ledger.baseStep}`;
      if (ledger.checkpoints.has(record.manifest)) return `${record.manifest} is committed already`;
      if (ledger.deleted.has(record.manifest)) return `${record.manifest} was deleted`;
      if (record.directory !== directoryName(record.step, record.attempt)) return "the directory is another's";
      return ledger.directories.has(record.directory) ? "the directory is taken" : null;
    case "refuse":
      if (!ledger.checkpoints.has(record.manifest)) return `${record.manifest} is no checkpoint of this log`;
      return ledger.refused.has(record.manifest) ? `${record.manifest} is refused already` : null;
    case "delete":
      // The base of the last open and the final checkpoint are never deleted (I6).
      for (const digest of record.manifests) {
        if (digest === opened.base) return `${digest} is the base of attempt ${opened.attempt}`;
        if (digest === ledger.done?.manifest) return `${digest} is the final checkpoint`;
        if (!ledger.checkpoints.has(digest)) return `${digest} is no checkpoint of this log`;
      }
      return null;
    case "done":
      if (!ledger.checkpoints.has(record.manifest)) return `${record.manifest} is no checkpoint of this log`;
      return ledger.refused.has(record.manifest) ? `${record.manifest} is refused` : null;
    default:
      return record satisfies never;
  }
}

/** A fence holds although the `open` that set it cannot be read any more: then its own attempt is shut out as well (I1). */
function fenceReason({ fence, opened }: Ledger, attempt: number): string | null {
  if (fence === null || attempt > fence.attempt) return null;
  if (attempt < fence.attempt) return `attempt ${fence.attempt} has opened the log`;
  return opened?.attempt === attempt ? null : `record ${fence.number}, the open of attempt ${attempt}, is damaged`;
}

function openVoidReason({ opened, checkpoints, done }: Ledger, record: Extract<Judged, { kind: "open" }>) {
  if (record.attempt === opened?.attempt) {
    if (record.podUid !== opened.podUid) return `pod ${opened.podUid} has opened attempt ${opened.attempt}`;
    // What an open carries has no room for it.
    if (done !== null) return "the run is done";
    // The pod that opened may renew its open at any time, and choose again only while nothing was built on its choice.
    const isBuiltOn = checkpoints
      .values()
      .some(({ attempt, digest }) => attempt === opened.attempt && digest !== opened.base);
    if (record.base !== opened.base && isBuiltOn) return "it has commits already";
  }
  const { base, state } = record;
  if (base === null) return null;
  // Its bytes may lie in another tier, so what counts is what this `open` carries, and not what the log held before it.
  if (!state.checkpoints.some(({ digest }) => digest === base)) return `its base ${base} is no checkpoint of this log`;
  return state.refused.some(({ digest }) => digest === base) ? `its base ${base} is refused` : null;
}
