/** How much may be written about one object: so much at once, then one more each time the interval has passed. */
export type AllowanceLimits = Readonly<{ burst: number; refillMs: number; mostObjects: number }>;

/** A token bucket for each object. Times are of the monotonic clock. */
export class EventAllowance {
  readonly #limits: AllowanceLimits;
  readonly #buckets = new Map<string, Bucket>();

  constructor(limits: AllowanceLimits) {
    this.#limits = limits;
  }

  /** Takes one write about the object, where there is one left. */
  take(uid: string, now: number): boolean {
    const { refillMs, mostObjects } = this.#limits;
    const creditMs = this.#creditMs(uid, now) - refillMs;
    if (creditMs < 0) return false;
    this.#buckets.delete(uid);
    this.#buckets.set(uid, { creditMs, countedAt: now });
    if (this.#buckets.size > mostObjects) this.#forgetOldest();
    return true;
  }

  /** When the next write about the object is allowed; `now` where one is. */
  nextAt(uid: string, now: number): number {
    return now + Math.max(0, this.#limits.refillMs - this.#creditMs(uid, now));
  }

  /** Time saved up: each write costs one interval of it. */
  #creditMs(uid: string, now: number): number {
    const { burst, refillMs } = this.#limits;
    const bucket = this.#buckets.get(uid);
    const savedMs = bucket === undefined ? Number.POSITIVE_INFINITY : bucket.creditMs + now - bucket.countedAt;
    return Math.min(burst * refillMs, savedMs);
  }

  // An object that is forgotten has its whole burst again: better than memory that grows with every object ever seen.
  #forgetOldest(): void {
    for (const uid of this.#buckets.keys()) {
      this.#buckets.delete(uid);
      return;
    }
  }
}

type Bucket = Readonly<{ creditMs: number; countedAt: number }>;
