import { setTimeout as pause } from "node:timers/promises";
import { FencedError } from "../log/append.ts";
import { readLog } from "../log/read.ts";
import type { CheckpointRef } from "../log/state.ts";
import type { Store } from "../store/store.ts";
import type { Place } from "./shard-set.ts";

type Awaited = Place & Readonly<{ signal: AbortSignal; everyMs?: number }>;

/**
 * Waits until what a gang saved of a step is committed: worker 0's agent does that when the last shard is there. Throws
 * `FencedError` when a newer attempt holds the log, and the signal's reason when that ends the wait: a worker that is gone
 * never saves.
 */
export async function awaitCommit(
  store: Store,
  { step, attempt, signal, everyMs = 50 }: Awaited,
): Promise<CheckpointRef> {
  for (;;) {
    const { state } = await readLog(store, { signal });
    const found = state.checkpoints.find((ref) => ref.attempt === attempt && ref.step === step);
    if (found !== undefined) return found;
    const { fence } = state;
    if (fence !== null && fence.attempt > attempt) {
      throw new FencedError(`Cannot commit step ${step} because attempt ${fence.attempt} has opened the log`, fence);
    }
    await pause(everyMs, undefined, { signal });
  }
}
