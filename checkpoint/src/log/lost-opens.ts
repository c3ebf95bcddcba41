import { limits } from "../limits.ts";
import { DamagedFileError, type Store } from "../store/store.ts";
import { parseRecord } from "./record.ts";
import type { RunState } from "./state.ts";

/**
 * The attempts that announced an `open` below the newest one under a number whose record cannot be told. What such an
 * attempt committed counts for nothing in this log, which is no proof that it is worth nothing: another tier's log may
 * tell it. They are known until the log is pruned up to the second `open` after the damage.
 */
export async function lostAttempts(store: Store, { opened }: RunState): Promise<Set<number>> {
  const [lowest = 0] = await store.recordNumbers();
  const newest = opened?.number ?? 0;
  const lost = new Set<number>();
  for (const { number, attempt } of await store.announcedOpens()) {
    if (number >= lowest && number < newest && (await isLost(store, number))) lost.add(attempt);
  }
  return lost;
}

async function isLost(store: Store, number: number): Promise<boolean> {
  try {
    const bytes = await store.readRecord(number, limits.recordBytes);
    return bytes === null || "damaged" in parseRecord(number, bytes);
  } catch (error) {
    if (error instanceof DamagedFileError) return true;
    throw error;
  }
}
