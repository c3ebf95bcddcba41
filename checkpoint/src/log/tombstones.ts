import type { Store } from "../store/store.ts";
import { readStateBelow } from "./read.ts";
import type { RunState } from "./state.ts";

/**
 * What tombstones named before the attempt that is open, as far as the log goes back. An `open` carries none of them: where
 * the process that appended it died before it had looked at the bytes, the next one has to look below.
 */
export async function tombstonesBefore(
  store: Store,
  { opened }: RunState,
  options: { signal?: AbortSignal } = {},
): Promise<RunState["deleted"]> {
  const found: RunState["deleted"][number][] = [];
  // An attempt may have opened more than once. Numbers fall, so this ends.
  for (let open = opened; open !== null && open.attempt === opened?.attempt; ) {
    const below = await readStateBelow(store, open.number, options);
    found.push(...below.deleted);
    open = below.opened;
  }
  return found;
}
