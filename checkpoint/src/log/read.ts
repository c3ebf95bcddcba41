import { setTimeout as pause } from "node:timers/promises";
import { limits } from "../limits.ts";
import { DamagedFileError, StorageUnavailableError, type Store } from "../store/store.ts";
import { fold, foldOn } from "./fold.ts";
import { type NumberedRecord, parseRecord } from "./record.ts";
import type { RunState } from "./state.ts";

/** The log from its newest `open` on, and its fold. */
export type ReadLog = Readonly<{ records: readonly NumberedRecord[]; state: RunState }>;

const maxRereads = 4;

/** A device's error for one file may pass; after so many tries it is that record's damage. */
const maxReadTries = 3;
const retryMs = 50;

/** Records are small and many: most of the time for one is the wait for the volume. */
const readsAtOnce = 16;

/** Records never change under their number, so each is read and parsed once per store, as long as no newer `open` carries it. */
const parsed = new WeakMap<Store, Map<number, NumberedRecord>>();

/** What was last read of each store. A log grows at its end, and one of a long attempt is too long to fold at every look. */
const folded = new WeakMap<Store, ReadLog>();

/**
 * Reads the log of a tier: from the highest number down to the newest `open`, which carries the rest. A prefix may be
 * pruned meanwhile: a record that is gone makes it look again.
 */
export async function readLog(store: Store, { signal }: { signal?: AbortSignal } = {}): Promise<ReadLog> {
  const records = await readBelow(store, { signal, limit: Number.POSITIVE_INFINITY });
  const log = { records, state: stateOf(records, folded.get(store)) };
  folded.set(store, log);
  return log;
}

/** The state that the record of that number was appended to, as far as the log goes back. */
export async function readStateBelow(
  store: Store,
  number: number,
  { signal }: { signal?: AbortSignal } = {},
): Promise<RunState> {
  return fold(await readBelow(store, { signal, limit: number }));
}

/** The records below a number, down to the newest `open` among them. */
async function readBelow(
  store: Store,
  { signal, limit }: { signal: AbortSignal | undefined; limit: number },
): Promise<NumberedRecord[]> {
  for (let reread = 0; reread <= maxRereads; reread += 1) {
    signal?.throwIfAborted();
    const numbers = (await store.recordNumbers()).filter((number) => number < limit);
    const records = await readDown(store, numbers, { signal, lastTry: reread === maxRereads });
    if (records !== null) return records;
  }
  throw new StorageUnavailableError(`Cannot read the log of run ${store.runUid} because it changes under every read`);
}

/** The fold of these records, going on from the last one where they are the same and more. */
function stateOf(records: readonly NumberedRecord[], before: ReadLog | undefined): RunState {
  const known = before?.records.length ?? 0;
  // A damaged record is read anew each time and so never the same one: it may have been repaired.
  const goesOn = known > 0 && before?.records.every((entry, index) => records[index] === entry);
  return before !== undefined && goesOn ? foldOn(before.state, records.slice(known)) : fold(records);
}

/** The records from the newest `open` to the top; null where the listing was overtaken. */
async function readDown(
  store: Store,
  numbers: readonly number[],
  { signal, lastTry }: { signal: AbortSignal | undefined; lastTry: boolean },
): Promise<NumberedRecord[] | null> {
  const records: NumberedRecord[] = [];
  const listed = new Set(numbers);
  const lowest = numbers[0] ?? 1;
  let top = numbers.at(-1) ?? 0;
  while (top >= lowest) {
    signal?.throwIfAborted();
    const batch = downToKnownOpen(store, { top, bottom: Math.max(lowest, top - readsAtOnce + 1) });
    top -= batch.length;
    const read = await Promise.all(
      batch.map((number) => (listed.has(number) ? fetchEntry(store, number, signal) : null)),
    );
    for (const [index, number] of batch.entries()) {
      const entry = read[index]?.() ?? null;
      // A listing may miss a name that was created while it ran, and a pruned one may be gone: look again. What is
      // missing after that is damage, and counts for nothing.
      if (entry === null && !lastTry) return null;
      records.push(entry ?? { number, damaged: "it is missing" });
      if (entry !== null && "record" in entry && entry.record.kind === "open") {
        forgetBelow(store, number);
        return withAnnouncements(store, records.reverse());
      }
    }
  }
  return withAnnouncements(store, records.reverse());
}

/** Those numbers, highest first, without what an `open` among them is known to carry. */
function downToKnownOpen(store: Store, { top, bottom }: Readonly<{ top: number; bottom: number }>): number[] {
  const known = parsed.get(store);
  const numbers: number[] = [];
  for (let number = top; number >= bottom; number -= 1) {
    numbers.push(number);
    const entry = known?.get(number);
    if (entry !== undefined && "record" in entry && entry.record.kind === "open") break;
  }
  return numbers;
}

/** What an `open` carries is not looked at again, and a long attempt renews its open often: an agent has little memory. */
function forgetBelow(store: Store, open: number): void {
  const known = parsed.get(store);
  for (const number of known?.keys() ?? []) if (number < open) known?.delete(number);
}

/** Says of each record that cannot be told whether it may have been an `open`, and whose. */
async function withAnnouncements(store: Store, records: NumberedRecord[]): Promise<NumberedRecord[]> {
  if (!records.some((entry) => "damaged" in entry)) return records;
  const highest = new Map<number, number>();
  for (const { number, attempt } of await store.announcedOpens()) {
    highest.set(number, Math.max(attempt, highest.get(number) ?? 0));
  }
  return records.map((entry) => {
    const announced = highest.get(entry.number);
    return "damaged" in entry && announced !== undefined ? { ...entry, announced } : entry;
  });
}

/**
 * Reads one record and leaves the parsing for later: below the newest `open` nothing is looked at, though it may be read
 * on the way.
 */
async function fetchEntry(
  store: Store,
  number: number,
  signal: AbortSignal | undefined,
): Promise<() => NumberedRecord | null> {
  const known = parsed.get(store) ?? new Map<number, NumberedRecord>();
  parsed.set(store, known);
  const cached = known.get(number);
  if (cached !== undefined) return () => cached;
  const bytes = await readBytes(store, number, signal);
  if (bytes === null) return () => null;
  if (bytes instanceof DamagedFileError) return () => ({ number, damaged: bytes.message, unreadable: true });
  return () => {
    const entry = parseRecord(number, bytes);
    if ("record" in entry) known.set(number, entry);
    return entry;
  };
}

async function readBytes(
  store: Store,
  number: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array | DamagedFileError | null> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await store.readRecord(number, limits.recordBytes);
    } catch (error) {
      if (!(error instanceof DamagedFileError)) throw error;
      if (tries === maxReadTries) return error;
      await pause(retryMs, undefined, signal === undefined ? {} : { signal });
    }
  }
}
