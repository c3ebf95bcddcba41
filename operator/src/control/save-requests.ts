import { saveRequestAnnotation } from "../api/names.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";

/**
 * The request for a save that the run carries; undefined where there is none. It counts for an hour, so that an
 * operator that starts later does not ask for it once more, and no more than an hour ahead: a clock that is off by years would
 * ask each attempt anew. Whether a checkpoint since then has met it is not asked: that would compare the clocks of two
 * machines, and one save too many does no harm.
 */
export function pendingSaveRequest(run: KubeObject | undefined, now: number): string | undefined {
  const requestedAt = run?.metadata.annotations?.[saveRequestAnnotation];
  if (requestedAt === undefined) return undefined;
  const time = Date.parse(requestedAt);
  return Number.isNaN(time) || Math.abs(now - time) > requestCountsMs ? undefined : requestedAt;
}

/**
 * Remembers which request each agent was told of, so that one request makes one save. Of a gang it is worker 0's agent
 * that is told: whatever each worker saved by itself would be of another step, and no checkpoint.
 */
export class SaveRequests {
  readonly #told = new Map<string, string>();

  /** Tells the agent of the run's request, if there is one that it was not told of. */
  async pass(
    asked: Readonly<{ run: KubeObject | undefined; podUid: string; worker: number; now: number }>,
    tell: () => Promise<void>,
  ): Promise<void> {
    const { run, podUid, worker, now } = asked;
    if (worker !== 0) return;
    const requestedAt = pendingSaveRequest(run, now);
    if (requestedAt === undefined || this.#told.get(podUid) === requestedAt) return;
    await tell();
    this.#told.set(podUid, requestedAt);
  }

  /** The pod is gone. */
  forget(podUid: string): void {
    this.#told.delete(podUid);
  }
}

const requestCountsMs = 60 * 60_000;
