import type { WorkQueue } from "../kubernetes/work-queue.ts";

/** What a pass over one run came to. */
export type PassOutcome =
  | Readonly<{ kind: "Settled"; requeueAfterMs?: number | undefined }>
  /** Not a failure, and not to be repeated at once: a refusal, a conflict. */
  | Readonly<{ kind: "Again"; why: string }>;

export type ControllerOptions = Readonly<{
  queue: WorkQueue;
  workers: number;
  /** One pass over one run. */
  reconcile: (key: string) => Promise<PassOutcome>;
  /** Told of every pass; `error` where it threw. The only place where a pass's errors are logged. */
  onPass: (key: string, pass: Readonly<{ seconds: number; outcome?: PassOutcome; error?: unknown }>) => void;
}>;

/** Runs passes until the queue is shut down. No error of a pass ends it. */
export async function runController(options: ControllerOptions): Promise<void> {
  await Promise.all(Array.from({ length: options.workers }, () => work(options)));
}

async function work({ queue, reconcile, onPass }: ControllerOptions): Promise<void> {
  for (let key = await queue.take(); key !== undefined; key = await queue.take()) {
    const startedAt = performance.now();
    const seconds = () => (performance.now() - startedAt) / 1000;
    try {
      const outcome = await reconcile(key);
      if (outcome.kind === "Again") queue.addBackedOff(key);
      else queue.forget(key);
      if (outcome.kind === "Settled" && outcome.requeueAfterMs !== undefined)
        queue.addAfter(key, outcome.requeueAfterMs);
      onPass(key, { seconds: seconds(), outcome });
    } catch (error) {
      queue.addBackedOff(key);
      onPass(key, { seconds: seconds(), error });
    } finally {
      queue.done(key);
    }
  }
}
