import { ApiError, NoAnswerError } from "../kubernetes/api-error.ts";
import type { BackOffBounds, WorkQueue } from "../kubernetes/work-queue.ts";

/** What a pass over one run came to. */
export type PassOutcome =
  | Readonly<{ kind: "Settled"; requeueAfterMs?: number | undefined }>
  /** Nothing was written, because the picture is not whole yet or more is to come. It ends no row of failures, and is none. */
  | Readonly<{ kind: "Held"; requeueAfterMs: number }>
  /** Not a failure, and not to be repeated at once: a refusal, a conflict. */
  | Readonly<{ kind: "Again"; why: string }>;

export type ControllerOptions = Readonly<{
  queue: WorkQueue;
  workers: number;
  /** One pass over one run. Dying anywhere in it is safe, so it ends when its signal says so. */
  reconcile: (key: string, signal: AbortSignal) => Promise<PassOutcome>;
  /** How long a pass may take before it makes room for others; the next one goes on from what it has written. */
  passLimitMs: number;
  /** Told of every pass; `error` where it threw. The only place where a pass's errors are logged. */
  onPass: (key: string, pass: Readonly<{ seconds: number; outcome?: PassOutcome; error?: unknown }>) => void;
}>;

/** A pass that took longer than it may. */
export class PassLimitError extends Error {
  override readonly name = "PassLimitError";
}

/** Runs passes until the queue is shut down. No error of a pass ends it. */
export async function runController(options: ControllerOptions): Promise<void> {
  await Promise.all(Array.from({ length: options.workers }, () => work(options)));
}

async function work(options: ControllerOptions): Promise<void> {
  const { queue, onPass } = options;
  for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
    const startedAt = performance.now();
    const ended = await pass(key, options);
    onPass(key, { seconds: (performance.now() - startedAt) / 1000, ...ended });
  }
}

type Ended = Readonly<{ outcome: PassOutcome }> | Readonly<{ error: unknown }>;

async function pass(key: string, { queue, reconcile, passLimitMs }: ControllerOptions): Promise<Ended> {
  const limit = new AbortController();
  const timer = setTimeout(() => limit.abort(tooLong(key, passLimitMs)), passLimitMs);
  try {
    const outcome = await reconcile(key, limit.signal);
    if (outcome.kind === "Again") queue.addBackedOff(key);
    if (outcome.kind === "Settled") queue.forget(key);
    if (outcome.kind !== "Again" && outcome.requeueAfterMs !== undefined) queue.addAfter(key, outcome.requeueAfterMs);
    return { outcome };
  } catch (error) {
    queue.addBackedOff(key, patienceWith(error));
    return { error };
  } finally {
    clearTimeout(timer);
    queue.done(key);
  }
}

/**
 * No worker sleeps until a server is there again: the key waits in the queue. As long as the server asked for, and
 * where it is away no longer than it takes to notice that it is back, whatever the row of failures.
 */
function patienceWith(error: unknown): BackOffBounds {
  if (error instanceof NoAnswerError) return { atMostMs: awayMs };
  if (!(error instanceof ApiError)) return {};
  const atLeastMs = Math.min(error.retryAfterMs ?? 0, longestRetryAfterMs);
  return error.status >= 500 || error.status === 429 ? { atLeastMs, atMostMs: awayMs } : { atLeastMs };
}

const awayMs = 10_000;
const longestRetryAfterMs = 60_000;

function tooLong(key: string, passLimitMs: number): PassLimitError {
  return new PassLimitError(`Cannot go on with the pass over ${key} because ${passLimitMs / 1000} s are over`);
}
