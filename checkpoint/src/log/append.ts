import { randomUUID } from "node:crypto";
import { limits } from "../limits.ts";
import { StorageUnavailableError, type Store } from "../store/store.ts";
import { carry, find, type Luggage, voidReason } from "./fold.ts";
import { type ReadLog, readLog } from "./read.ts";
import { type LogRecord, type OpenDraft, parseRecord, type RecordDraft, recordBytes, recordVersion } from "./record.ts";
import type { Fence, Opened, RunState } from "./state.ts";

/** The record stands in the log under `number`. */
export type Appended = Readonly<{ kind: "appended"; number: number; state: RunState }>;
/** A higher attempt, or another pod of this one, holds the log: stop writing for good. */
export type FencedBy = Readonly<{ kind: "fenced"; by: Opened | Fence; message: string }>;
/** The record would count for nothing, for another reason than a fence, and was not appended. */
export type Void = Readonly<{ kind: "void"; message: string; state: RunState }>;
/** The log is no longer where the decision was taken: decide again. */
export type Moved = Readonly<{ kind: "moved"; state: RunState }>;

/** A record of a lower attempt, or of another pod, cannot be written any more. */
export class FencedError extends Error {
  override readonly name = "FencedError";
  /** The attempt that holds the log; without its pod where its `open` is damaged. */
  readonly by: Opened | Fence;

  constructor(message: string, by: Opened | Fence) {
    super(message);
    this.by = by;
  }
}

const maxRaces = 100;

/**
 * Appends one record by creating the next number exclusively. Whoever loses a number reads the winner: its own record
 * means that a reply was lost, a fence means to stop, anything else means the next number.
 */
export async function appendRecord(
  store: Store,
  draft: RecordDraft,
  { signal }: { signal?: AbortSignal } = {},
): Promise<Appended | FencedBy | Void> {
  const outcome = await append(store, draft, { signal, after: null });
  if (outcome.kind === "moved") throw new Error("Cannot append because the log moved, which this append allows");
  return outcome;
}

/** Appends a record only as the very next one after `after`: for decisions that hold in one state alone. */
export async function appendRecordAfter(
  store: Store,
  draft: RecordDraft | OpenDraft,
  { after, signal }: { after: number; signal?: AbortSignal },
): Promise<Appended | FencedBy | Void | Moved> {
  return append(store, draft, { signal, after });
}

type AnyDraft = RecordDraft | OpenDraft;

async function append(
  store: Store,
  draft: AnyDraft,
  { signal, after }: { signal: AbortSignal | undefined; after: number | null },
): Promise<Appended | FencedBy | Void | Moved> {
  const writer = draft.writer ?? randomUUID();
  for (let race = 0; race < maxRaces; race += 1) {
    const { state } = await readLog(store, options(signal));
    const refused = refusal(state, draft);
    if (refused !== null) return refused;
    if (after !== null && state.last !== after) return { kind: "moved", state };
    const record = complete(draft, state, writer);
    const number = state.last + 1;
    if (record.kind === "open") await store.announceOpen({ number, attempt: record.attempt });
    if (await wins(store, number, record)) return confirm(store, { number, writer, draft, signal });
  }
  throw new StorageUnavailableError(
    `Cannot append a ${draft.kind} record to the log of run ${store.runUid} because ${maxRaces} numbers went to others`,
  );
}

/** An `open` carries the state right below it, so it is made anew for every number that it is tried under. */
function complete(draft: AnyDraft, state: RunState, writer: string): LogRecord {
  const filled = { time: draft.time ?? new Date().toISOString(), writer, version: recordVersion } as const;
  if (draft.kind !== "open") return { ...draft, ...filled };
  const { imported: _imported, chosen: _chosen, ...open } = draft;
  return { ...open, ...filled, state: carry(state, luggageOf(draft)) };
}

/** Creates the number, or finds that it was created by a reply that never arrived. */
async function wins(store: Store, number: number, record: LogRecord): Promise<boolean> {
  const bytes = recordBytes(record);
  if (bytes.byteLength > limits.recordBytes) {
    throw new RangeError(`Cannot append because a record has at most ${limits.recordBytes} bytes: ${bytes.byteLength}`);
  }
  if ((await store.createRecord(number, bytes)) === "created") return true;
  const winner = await store.readRecord(number, limits.recordBytes);
  if (winner === null) return false;
  const entry = parseRecord(number, winner);
  if (!("record" in entry) || entry.record.writer !== record.writer) return false;
  await store.rewriteRecord(number, winner);
  return true;
}

/**
 * A number below a pruned prefix is free again, and a writer that slept through the pruning would win it unseen. So
 * whoever won looks whether its record is where readers look; if not, a newer `open` is. Where that one
 * is a renewal by the writer's own attempt, what it carries tells; a commit that it does not carry may have been deleted
 * since, and is not tried again.
 */
async function confirm(
  store: Store,
  won: { number: number; writer: string; draft: AnyDraft; signal: AbortSignal | undefined },
): Promise<Appended | FencedBy> {
  const log = await readLog(store, options(won.signal));
  if (includes(log, won)) return { kind: "appended", number: won.number, state: log.state };
  const fence = fenceOf(log.state);
  if (fence !== null && fence.attempt > won.draft.attempt && fence.number > won.number) {
    return fenced(log.state, won.draft, fence);
  }
  if (won.draft.kind === "commit" && find(log.state, won.draft.manifest) !== undefined) {
    return { kind: "appended", number: won.number, state: log.state };
  }
  throw new StorageUnavailableError(
    `Cannot tell whether log record ${won.number} of run ${store.runUid} stands because it was created and is not there now`,
  );
}

function includes({ records }: ReadLog, { number, writer }: { number: number; writer: string }): boolean {
  return records.some((entry) => entry.number === number && "record" in entry && entry.record.writer === writer);
}

function refusal(state: RunState, draft: AnyDraft): FencedBy | Void | null {
  const reason = reasonAgainst(state, draft);
  if (reason === null) return null;
  const { opened } = state;
  const fence = fenceOf(state);
  const otherPod = draft.kind === "open" && draft.attempt === opened?.attempt && draft.podUid !== opened.podUid;
  const isBelow = fence !== null && draft.attempt < fence.attempt;
  const isLost = draft.attempt === fence?.attempt && draft.attempt !== opened?.attempt;
  if (fence !== null && (isBelow || isLost || otherPod)) return fenced(state, draft, fence);
  return { kind: "void", message: describe(draft, reason), state };
}

/** Why the draft would count for nothing as the next record. */
function reasonAgainst(state: RunState, draft: AnyDraft): string | null {
  return voidReason(state, draft.kind === "open" ? { ...draft, state: carry(state, luggageOf(draft)) } : draft);
}

function luggageOf({ imported, chosen, base }: OpenDraft): Luggage {
  return { imported, base, chosen };
}

/** Who holds the log: the open attempt, or one whose damaged `open` lies above it. */
function fenceOf({ opened, fence }: RunState): Opened | Fence | null {
  return fence === null || fence.attempt === opened?.attempt ? opened : fence;
}

function fenced(state: RunState, draft: AnyDraft, by: Opened | Fence): FencedBy {
  const reason = reasonAgainst(state, draft) ?? `attempt ${by.attempt} has opened the log`;
  return { kind: "fenced", by, message: describe(draft, reason) };
}

function describe(draft: AnyDraft, reason: string): string {
  return `Cannot append a ${draft.kind} record of attempt ${draft.attempt} because ${reason}`;
}

function options(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
