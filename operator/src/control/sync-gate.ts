import { placeOf } from "../kubernetes/kube-object.ts";
import { sleep } from "../kubernetes/sleep.ts";
import type { WorkQueue } from "../kubernetes/work-queue.ts";
import type { Caches } from "./caches.ts";
import type { Log } from "./log.ts";

export type SyncGateOptions = Readonly<{
  caches: Pick<Caches, "hasSynced" | "isSyncedFor">;
  queue: Pick<WorkQueue, "add">;
  log: Log;
  now?: () => number;
}>;

/**
 * Holds runs back until the copy of their namespace is whole: decided on less, a pod that is only not listed yet would
 * count as gone. A namespace that cannot be listed holds back its own runs and no others.
 */
export class SyncGate {
  readonly #options: SyncGateOptions;
  readonly #now: () => number;
  /** By namespace: whether one is whole is asked once for all its runs. */
  readonly #held = new Map<string, Set<string>>();

  constructor(options: SyncGateOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** Whether the run may be decided on. Where it may not, it is queued as soon as it may. */
  isOpenFor(key: string): boolean {
    const { namespace } = placeOf(key);
    if (this.#options.caches.isSyncedFor(namespace)) return true;
    this.#held.set(namespace, (this.#held.get(namespace) ?? new Set()).add(key));
    return false;
  }

  /** Lets runs through, namespace by namespace, until every one is synced or the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { caches, log } = this.#options;
    const startedAt = this.#now();
    let isTold = false;
    while (!caches.hasSynced) {
      const elapsedMs = this.#now() - startedAt;
      await sleep(Math.min(Math.max(elapsedMs / 10, shortestLookMs), longestLookMs), signal).catch(() => undefined);
      if (signal.aborted) return;
      this.#letThrough();
      if (!isTold && elapsedMs > tellAfterMs) {
        isTold = true;
        log("warn", "not everything could be listed yet; runs it concerns wait", {
          namespaces: [...this.#held.keys()].sort(),
        });
      }
    }
    this.#letThrough();
    log("info", "the caches are synced");
  }

  #letThrough(): void {
    for (const [namespace, keys] of this.#held) {
      if (!this.#options.caches.isSyncedFor(namespace)) continue;
      this.#held.delete(namespace);
      for (const key of keys) this.#options.queue.add(key);
    }
  }
}

// A sync is noticed within a tenth of the time that it took, and within a second.
const shortestLookMs = 20;
const longestLookMs = 1_000;
const tellAfterMs = 10_000;
