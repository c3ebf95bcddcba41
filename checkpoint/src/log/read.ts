import { limits } from "../limits.ts";
import { StorageUnavailableError, type Store } from "../store/store.ts";
import { fold } from "./fold.ts";
import { type NumberedRecord, parseRecord } from "./record.ts";
import type { RunState } from "./state.ts";

/** The log from its newest `open` on, and its fold. */
export type ReadLog = Readonly<{ records: readonly NumberedRecord[]; state: RunState }>;

const maxRereads = 4;

/** Records never change under their number, so each is read and parsed once per store. */
const parsed = new WeakMap<Store, Map<number, NumberedRecord>>();

/**
 * Reads the log of a tier: from the highest number down to the newest `open`, which carries the rest. A prefix may be
 * pruned meanwhile: a record that is gone makes it look again.
 */
export async function readLog(store: Store, { signal }: { signal?: AbortSignal } = {}): Promise<ReadLog> {
  for (let reread = 0; reread <= maxRereads; reread += 1) {
    signal?.throwIfAborted();
    const numbers = await store.recordNumbers();
    const records = await readDown(store, numbers, { signal, lastTry: reread === maxRereads });
    if (records !== null) return { records, state: fold(records) };
  }
  throw new StorageUnavailableError(`Cannot read the log of run ${store.runUid} because it changes under every read`);
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
  for (let number = numbers.at(-1) ?? 0; number >= lowest; number -= 1) {
    signal?.throwIfAborted();
    const entry = listed.has(number) ? await readEntry(store, number) : null;
    if (entry === null) {
      // A listing may miss a name that was created while it ran, and a pruned one may be gone: look again. What is
      // missing after that is damage, and counts for nothing.
      if (!lastTry) return null;
      records.push({ number, damaged: "it is missing" });
      continue;
    }
    records.push(entry);
    if ("record" in entry && entry.record.kind === "open") break;
  }
  return records.reverse();
}

async function readEntry(store: Store, number: number): Promise<NumberedRecord | null> {
  const known = parsed.get(store) ?? new Map<number, NumberedRecord>();
  parsed.set(store, known);
  const cached = known.get(number);
  if (cached !== undefined) return cached;
  const bytes = await store.readRecord(number, limits.recordBytes);
  if (bytes === null) return null;
  const entry = parseRecord(number, bytes);
  if ("record" in entry) known.set(number, entry);
  return entry;
}
