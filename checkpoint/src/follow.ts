import { setTimeout as pause } from "node:timers/promises";
import type { RefusedSummary } from "./contract/checkpoint-summary.ts";
import type { RestoreFailure } from "./contract/termination.ts";
import { isIncompatible } from "./incompatible.ts";
import { usualEveryMs, verifyInSight, visibleWithinMs } from "./into-sight.ts";
import { find } from "./log/fold.ts";
import { readLog } from "./log/read.ts";
import type { CheckpointRef, Opened, RunState } from "./log/state.ts";
import type { RestoreOutcome, RestoreRequest } from "./restore.ts";
import { StorageUnavailableError, type Store } from "./store/store.ts";
import { type Verdict, verifyCheckpoint } from "./verify.ts";

/** Who follows worker 0 of a gang. */
export type FollowRequest = Pick<RestoreRequest, "runUid" | "attempt" | "podUid" | "node" | "signal"> &
  Readonly<{
    /** Hears in words what is waited for, where worker 0 has not opened the attempt yet. */
    onWait?: (message: string) => void;
    /** How long worker 0 may take to begin: its pod may wait for a node, or pull its image. */
    patienceMs?: number;
    everyMs?: number;
  }>;

const usualPatienceMs = 30 * 60_000;

/**
 * Where a worker of a gang starts that is not the first: at the base on which worker 0 has opened this attempt, from bytes
 * that this worker's own pod has matched (I2). It chooses nothing and writes nothing.
 *
 *     fold ─► open of this attempt? ── not yet ─► wait, for so long, and say so
 *                    │ yes
 *                    └─► every byte of its base matches here ─► start
 */
export async function followRun(volume: Store, request: FollowRequest): Promise<RestoreOutcome> {
  const started = performance.now();
  try {
    const found = await awaitOpen(volume, request);
    if ("kind" in found) return found;
    return await takeBase(volume, request, { ...found, started });
  } catch (error) {
    // A volume whose reads end with this process is not away.
    request.signal?.throwIfAborted();
    if (error instanceof StorageUnavailableError) {
      return failed(request, "StorageUnavailable", error.message, { problem: error.problem });
    }
    if (isIncompatible(error)) return failed(request, "Incompatible", error.message);
    throw error;
  }
}

type Found = Readonly<{ state: RunState; opened: Opened }>;

async function awaitOpen(volume: Store, request: FollowRequest): Promise<Found | RestoreOutcome> {
  const { attempt, patienceMs = usualPatienceMs, everyMs = usualEveryMs, onWait } = request;
  const until = performance.now() + patienceMs;
  for (let looks = 0; ; looks += 1) {
    const { state } = await readLog(volume, optionsOf(request));
    const { opened, fence } = state;
    if (fence !== null && fence.attempt > attempt) {
      return failed(request, "Fenced", `attempt ${fence.attempt} is open`, { fencedBy: fence.attempt });
    }
    if (opened?.attempt === attempt) return { state, opened };
    if (performance.now() >= until) {
      const because = `worker 0 has not opened it in the log of this volume for ${patienceMs / 1000} s; all workers must share the volume`;
      return failed(request, "StorageUnavailable", because, { problem: "NotOpened" });
    }
    if (looks === 0) onWait?.(`Worker 0 has not opened attempt ${attempt} yet: this worker waits for it.`);
    await pause(everyMs, undefined, optionsOf(request));
  }
}

async function takeBase(
  volume: Store,
  request: FollowRequest,
  { state, opened, started }: Found & Readonly<{ started: number }>,
): Promise<RestoreOutcome> {
  const { runUid: run, attempt, podUid, node } = request;
  const ref = opened.base === null ? null : find(state, opened.base);
  // An open carries its base: a log that has lost it cannot be followed.
  if (ref === undefined) return failed(request, "StorageUnavailable", `the log does not hold its base ${opened.base}`);
  const verdict = ref === null ? null : await match(volume, ref, request);
  if (ref !== null && verdict?.ok === false) {
    const { reason, message } = verdict;
    const time = new Date().toISOString();
    const refused = [{ step: ref.step, attempt: ref.attempt, digest: ref.digest, reason, message, node, time }];
    const because = `worker 0 has matched its base on node ${opened.node}, and node ${node} cannot: ${message}`;
    return failed(request, "NodeSuspect", because, { refused });
  }
  const directory = volume.checkpoint(ref?.directory ?? "none").location;
  const base = ref && { step: ref.step, attempt: ref.attempt, digest: ref.digest };
  const restored = {
    ...{ version: 1 as const, run, attempt, podUid, refused: [] },
    resume: base && { ...base, tier: volume.tier, directory },
    verifiedBytes: verdict?.ok ? verdict.bytes : 0,
    seconds: (performance.now() - started) / 1000,
    time: new Date().toISOString(),
  };
  return { kind: "restored", restored, warnings: [] };
}

async function match(volume: Store, ref: CheckpointRef, request: FollowRequest): Promise<Verdict> {
  const { everyMs = usualEveryMs, patienceMs = usualPatienceMs, signal } = request;
  const until = performance.now() + Math.min(visibleWithinMs, patienceMs);
  return verifyInSight(() => verifyCheckpoint(volume, ref, optionsOf(request)), { until, everyMs, signal });
}

type Detail = Readonly<{ problem?: string | null; fencedBy?: number; refused?: RefusedSummary[] }>;

function failed(
  { attempt }: FollowRequest,
  failure: RestoreFailure,
  because: string,
  { problem = null, refused = [], ...fencedBy }: Detail = {},
): RestoreOutcome {
  const message = `Cannot restore attempt ${attempt} because ${because}`.slice(0, 1024);
  const named = problem === null ? {} : { problem };
  return { kind: "failed", failure, ...named, ...fencedBy, message, refused, warnings: [] };
}

function optionsOf({ signal }: FollowRequest): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal };
}
