import { setTimeout as delay } from "node:timers/promises";

/** A wait that doubles each time up to a limit. */
export class Backoff {
  readonly #firstMs: number;
  readonly #limitMs: number;
  #nextMs: number;

  constructor(firstMs: number, limitMs: number) {
    this.#firstMs = firstMs;
    this.#limitMs = limitMs;
    this.#nextMs = firstMs;
  }

  /** The next wait in milliseconds; the one after it is twice as long. */
  next(): number {
    const current = this.#nextMs;
    this.#nextMs = Math.min(2 * current, this.#limitMs);
    return current;
  }

  /** Forgets all waits so far. */
  reset(): void {
    this.#nextMs = this.#firstMs;
  }
}

/** Waits; returns early, and quietly, when the signal comes. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}

/** Resolves when the signal comes. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
