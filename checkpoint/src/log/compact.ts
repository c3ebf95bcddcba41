import type { Store } from "../store/store.ts";
import { readLog } from "./read.ts";

/**
 * Prunes the log's prefix once more than `spare` records lie below the newest `open`, which carries their fold. Lowest
 * first, so that what is left is always without gaps.
 */
export async function compactLog(
  store: Store,
  { spare, signal }: { spare: number; signal?: AbortSignal },
): Promise<number> {
  const { state } = await readLog(store, signal === undefined ? {} : { signal });
  const open = state.opened?.number ?? 0;
  const below = (await store.recordNumbers()).filter((number) => number < open);
  const pruned = below.slice(0, Math.max(0, below.length - spare));
  await store.removeRecords(pruned);
  return pruned.length;
}
