import type { Digest } from "./contract/digest.ts";
import { appendRecord, FencedError } from "./log/append.ts";
import { find } from "./log/fold.ts";
import { readLog } from "./log/read.ts";
import type { LogRecord } from "./log/record.ts";
import { secureRecord } from "./log/secure.ts";
import type { Store } from "./store/store.ts";
import { verifyCheckpoint } from "./verify.ts";

/** The log does not take this checkpoint as the run's final one. */
export class FinishRefusedError extends Error {
  override readonly name = "FinishRefusedError";
}

type Finish = Readonly<{ attempt: number; manifest: Digest; signal?: AbortSignal }>;

/**
 * Reads the checkpoint back, every byte, and appends `done`: it is the run's final one (I9). Safe to repeat. Throws
 * `FencedError` when a newer attempt holds the log, {@link FinishRefusedError} when the checkpoint is unknown, deleted,
 * refused, or does not match its manifest.
 */
export async function finishRun(store: Store, finish: Finish): Promise<void> {
  const options = optionsOf(finish);
  const ref = find((await readLog(store, options)).state, finish.manifest);
  // What the log does not have cannot be read back; the append says why it cannot be final either.
  const verdict = ref === undefined ? null : await verifyCheckpoint(store, ref, options);
  if (verdict?.ok === false) {
    throw new FinishRefusedError(`Cannot finish with ${finish.manifest} because it must verify: ${verdict.message}`);
  }
  await finishVerified(store, finish);
}

/** Appends `done` like {@link finishRun}, for a caller that has matched the checkpoint's bytes itself (I9). */
export async function finishVerified(store: Store, finish: Finish): Promise<void> {
  const { attempt, manifest } = finish;
  const options = optionsOf(finish);
  const { state } = await readLog(store, options);
  if (state.done?.attempt === attempt && state.done.manifest === manifest) {
    const isOurs = (record: LogRecord) => record.kind === "done" && record.manifest === manifest;
    return secureRecord(store, isOurs, options);
  }
  const outcome = await appendRecord(store, { kind: "done", attempt, manifest }, options);
  if (outcome.kind === "fenced") throw new FencedError(outcome.message, outcome.by);
  if (outcome.kind === "void") throw new FinishRefusedError(outcome.message);
}

function optionsOf({ signal }: Finish): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
