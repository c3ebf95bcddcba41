import { sleep } from "./sleep.ts";

/** How hard one client may press on the API server. */
export type RequestLimits = Readonly<{
  /** Requests a second, sustained. */
  perSecond: number;
  /** Requests that may be made at once after a quiet time. */
  burst: number;
  /** Requests under way at the same time; watches are not counted, they last. */
  inFlight: number;
}>;

/** A slot of the limit, given back when the request has ended. */
export type Slot = Readonly<{ release: () => void }>;

/**
 * A token bucket and a count of requests under way. Callers are served in the order they came. With a slot
 * lost to a request that never ends everything would stop, so every request carries a deadline (client.ts).
 */
export class RequestLimit {
  readonly #limits: RequestLimits;
  readonly #now: () => number;
  readonly #waiting: (() => void)[] = [];
  #tokens: number;
  #filledAt: number;
  #inFlight = 0;

  constructor(limits: RequestLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
    this.#tokens = limits.burst;
    this.#filledAt = now();
  }

  /** Waits for the rate and for a free place among the requests under way. */
  async acquire(signal: AbortSignal): Promise<Slot> {
    await this.#place(signal);
    let released = false;
    const release = () => {
      if (released) return;
      released = true;
      this.#inFlight -= 1;
      this.#waiting.shift()?.();
    };
    try {
      await this.acquireRate(signal);
    } catch (error) {
      release();
      throw error;
    }
    return { release };
  }

  /** Waits for the rate alone: for requests that last, such as watches. */
  async acquireRate(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    this.#fill();
    // The bucket may go into debt: that is the queue, and keeps its order.
    this.#tokens -= 1;
    if (this.#tokens >= 0) return;
    try {
      await sleep((-this.#tokens / this.#limits.perSecond) * 1000, signal);
    } catch (error) {
      this.#tokens += 1;
      throw error;
    }
  }

  /** Requests under way now. */
  get inFlight(): number {
    return this.#inFlight;
  }

  #fill(): void {
    const now = this.#now();
    const earned = ((now - this.#filledAt) / 1000) * this.#limits.perSecond;
    this.#tokens = Math.min(this.#limits.burst, this.#tokens + earned);
    this.#filledAt = now;
  }

  #place(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#inFlight < this.#limits.inFlight) {
      this.#inFlight += 1;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal.removeEventListener("abort", abort);
        this.#inFlight += 1;
        resolve();
      };
      const abort = () => {
        this.#waiting.splice(this.#waiting.indexOf(enter), 1);
        reject(signal.reason);
      };
      this.#waiting.push(enter);
      signal.addEventListener("abort", abort, { once: true });
    });
  }
}
