import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { find, isRefused } from "@trainingrun/checkpoint/log/fold.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { CheckpointRef, RunState } from "@trainingrun/checkpoint/log/state.ts";
import { nextBytes } from "@trainingrun/checkpoint/retention-space.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { type FailedVerdict, type Mending, mendCheckpoint } from "@trainingrun/checkpoint/tiers/mend.ts";
import { bytesOnVolume } from "@trainingrun/checkpoint/volume-room.ts";
import { holderOf } from "./holder.ts";
import { availableBytes, roundedBytes } from "./volume-care-space.ts";

/** Opens the run's object store to read from it alone; `signal` ends all its requests. */
export type OpenMirror = (signal: AbortSignal) => Promise<Store & Readonly<{ close?(): void }>>;

/** Nothing is wrong with the copies: to mend it now would do harm. */
export class PutOffError extends Error {
  override readonly name = "PutOffError";
}

type Options = Readonly<{
  environment: AgentEnvironment;
  store: Store;
  openMirror: OpenMirror | null;
  /** What is wrong with the volume's copy. */
  found: FailedVerdict;
  /** What the log said last; null before it was read. */
  state: RunState | null;
  signal: AbortSignal;
}>;

/**
 * Mends one checkpoint on the volume of a training that goes on. It has to leave the next save its room; and the minutes
 * that it takes are enough for another pod to take the log over and resume from that very checkpoint, or to delete it: so
 * the log is read again before a copy has the name (I1, I2, I6). Throws {@link PutOffError} where it has to wait.
 */
export async function mendOnVolume(checkpoint: CheckpointRef, options: Options): Promise<Mending> {
  const { store, openMirror, found, signal } = options;
  const gate = {
    mayBegin: () => leaveRoom(checkpoint, options),
    mayPublish: () => stillNamed(checkpoint, options),
  };
  const mirror = openMirror === null ? null : await openMirror(signal);
  try {
    return await mendCheckpoint({ volume: store, objectStore: mirror, checkpoint, found, gate, signal });
  } finally {
    mirror?.close?.();
  }
}

async function leaveRoom({ bytes }: CheckpointRef, { environment, state }: Options): Promise<void> {
  const next = nextBytes([{ bytes }, ...(state?.checkpoints ?? [])]);
  const available = await availableBytes(environment);
  if (bytesOnVolume(bytes) + bytesOnVolume(next) <= available) return;
  throw new PutOffError(
    `the volume has ${roundedBytes(available)} free, and the copy takes ${roundedBytes(bytes)} and the next save ${roundedBytes(next)}`,
  );
}

async function stillNamed({ digest }: CheckpointRef, { environment, store, signal }: Options): Promise<void> {
  const { state } = await readLog(store, { signal });
  const holder = holderOf(state, environment);
  const by = state.fence ?? state.opened;
  if (holder.kind === "other" && by !== null) throw new FencedError(holder.why, by);
  if (holder.kind !== "own") throw new PutOffError("the log does not say that this pod holds it");
  if (find(state, digest) === undefined || isRefused(state, digest)) throw new PutOffError("the log names it no more");
}
