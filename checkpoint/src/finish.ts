import type { Digest } from "./contract/digest.ts";
import { appendRecord, FencedError } from "./log/append.ts";
import { readLog } from "./log/read.ts";
import type { Store } from "./store/store.ts";

/** The log does not take this checkpoint as the run's final one. */
export class FinishRefusedError extends Error {
  override readonly name = "FinishRefusedError";
}

/**
 * Appends `done`: this verified checkpoint is the run's final one (I9). Safe to repeat. Throws `FencedError` when a newer
 * attempt holds the log, {@link FinishRefusedError} when the checkpoint is unknown, deleted or refused.
 */
export async function finishRun(
  store: Store,
  { attempt, manifest, signal }: Readonly<{ attempt: number; manifest: Digest; signal?: AbortSignal }>,
): Promise<void> {
  const options = signal === undefined ? {} : { signal };
  const { state } = await readLog(store, options);
  if (state.done?.attempt === attempt && state.done.manifest === manifest) return;
  const outcome = await appendRecord(store, { kind: "done", attempt, manifest }, options);
  if (outcome.kind === "fenced") throw new FencedError(outcome.message, outcome.by);
  if (outcome.kind === "void") throw new FinishRefusedError(outcome.message);
}
