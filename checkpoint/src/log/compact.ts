import { limits } from "../limits.ts";
import { DamagedFileError, type Store } from "../store/store.ts";
import { appendRecordAfter, FencedError } from "./append.ts";
import { readLog } from "./read.ts";
import { parseRecord } from "./record.ts";

/** Who compacts; only the pod that holds the log may. */
type Holder = Readonly<{ attempt: number; podUid: string; signal?: AbortSignal }>;

/** An attempt whose log has grown by so many records since its `open` renews it. */
export const renewAfterRecords = 1_000;

/** Each removal is made durable by itself, so one call does a bounded part, and the next one goes on. */
const maxRemovals = 100;

/**
 * Appends the attempt's `open` once more, with the same base, when many records lie above it: it carries their fold, so
 * that readers start there, and what lies below may be pruned. Only when the bytes of every tombstone are gone: an
 * `open` carries no tombstones. Says whether it did. Throws `FencedError` when a newer attempt holds the log.
 */
export async function renewOpen(
  store: Store,
  { attempt, podUid, signal, after = renewAfterRecords }: Holder & { after?: number },
): Promise<boolean> {
  const options = signal === undefined ? {} : { signal };
  const { state } = await readLog(store, options);
  const { opened, done, deleted, last } = state;
  if (opened?.attempt !== attempt || opened.podUid !== podUid) return false;
  if (done !== null || last - opened.number < after) return false;
  const left = new Set(deleted.length === 0 ? [] : await store.names());
  if (deleted.some(({ directory }) => left.has(directory))) return false;
  const { node, base, generation } = opened;
  const draft = { kind: "open", attempt, podUid, node, base, generation } as const;
  const outcome = await appendRecordAfter(store, draft, { after: last, ...options });
  if (outcome.kind === "fenced") throw new FencedError(outcome.message, outcome.by);
  return outcome.kind === "appended";
}

/**
 * Prunes the log's prefix: it keeps its two newest `open` records and what lies above the older one, so that the history
 * can still be told when the newest is damaged. Lowest first, so that what is left is always without gaps: whenever this
 * is cut off, the fold is the same. Returns how many records went; as many as the bound mean that there may be more.
 */
export async function compactLog(store: Store, { signal }: { signal?: AbortSignal } = {}): Promise<number> {
  const { state } = await readLog(store, signal === undefined ? {} : { signal });
  const before = await openBefore(store, state.opened?.number ?? 0);
  const pruned = (await store.recordNumbers()).filter((number) => number < before).slice(0, maxRemovals);
  await store.removeRecords(pruned);
  return pruned.length;
}

/** The number of the newest whole `open` below that one; 0 where none is known. */
async function openBefore(store: Store, newest: number): Promise<number> {
  const announced = (await store.announcedOpens()).map(({ number }) => number).filter((number) => number < newest);
  for (const number of [...new Set(announced)].sort((a, b) => b - a)) {
    if (await isWholeOpen(store, number)) return number;
  }
  return 0;
}

async function isWholeOpen(store: Store, number: number): Promise<boolean> {
  try {
    const bytes = await store.readRecord(number, limits.recordBytes);
    const entry = bytes === null ? null : parseRecord(number, bytes);
    return entry !== null && "record" in entry && entry.record.kind === "open";
  } catch (error) {
    if (error instanceof DamagedFileError) return false;
    throw error;
  }
}
