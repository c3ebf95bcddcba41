/** How often something may be done about one thing: so often at once, then once more each time the interval has passed. */
export type AllowanceLimits = Readonly<{ burst: number; refillMs: number; mostThings: number }>;

/** A token bucket for each thing, by its name. Times are of the monotonic clock. */
export class Allowance {
  readonly #limits: AllowanceLimits;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: AllowanceLimits) {
    this.#limits = limits;
  }

  /** Takes one time, where there is one left. */
  take(name: string, now: number): boolean {
    const { refillMs, mostThings } = this.#limits;
    const creditMs = this.#creditMs(name, now) - refillMs;
    if (creditMs < 0) return false;
    this.#buckets.delete(name);
    this.#buckets.set(name, { creditMs, countedAt: now });
    if (this.#buckets.size > mostThings) this.#forgetOldest();
    return true;
  }

  /** When the next time is allowed; `now` where one is. */
  nextAt(name: string, now: number): number {
    return now + Math.max(0, this.#limits.refillMs - this.#creditMs(name, now));
  }

  /** Time saved up: each time costs one interval of it. */
  #creditMs(name: string, now: number): number {
    const { burst, refillMs } = this.#limits;
    const bucket = this.#buckets.get(name);
    const savedMs = bucket === undefined ? Number.POSITIVE_INFINITY : bucket.creditMs + now - bucket.countedAt;
    return Math.min(burst * refillMs, savedMs);
  }

  // A thing that is forgotten has its whole burst again: better than memory that grows with everything ever seen.
  #forgetOldest(): void {
    for (const name of this.#buckets.keys()) {
      this.#buckets.delete(name);
      return;
    }
  }
}

type Bucket = Readonly<{ creditMs: number; countedAt: number }>;
