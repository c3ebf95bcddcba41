// Requests wait in one of two queues, and one hand gives out what there is of both tokens and places:
//
//   Control (lists, watches) ──┐        token in the bucket, and a place among those under way
//                              ├─► next ──────────────────────────────────────────────────────► sent
//   Work (everything else) ────┘        Control first, but every fourth token is for Work that waits
//
// A token is taken in the moment in which its request is sent, never ahead: a caller that leaves had none, so what was
// promised to it cannot be given to two others. Some places are kept for Control: requests that hang must not keep the
// watches, which say how the cluster is, from being opened.

/** How hard one client may press on the API server. */
export type RequestLimits = Readonly<{
  /** Requests a second, sustained. */
  perSecond: number;
  /** Requests that may be made at once after a quiet time. */
  burst: number;
  /** Requests under way at the same time; watches are not counted, they last. */
  inFlight: number;
}>;

/** What a request is for: seeing the cluster, or working on what was seen. */
export type RequestClass = "Control" | "Work";

/** A slot of the limit, given back when the request has ended. */
export type Slot = Readonly<{ release: () => void }>;

/**
 * A token bucket and a count of requests under way. Callers of one class are served in the order they came. With a
 * slot lost to a request that never ends everything would stop, so every request carries a deadline (client.ts).
 */
export class RequestLimit {
  readonly #limits: RequestLimits;
  readonly #now: () => number;
  readonly #waiting: Readonly<Record<RequestClass, Set<Waiter>>> = { Control: new Set(), Work: new Set() };
  #tokens: number;
  #filledAt: number;
  #inFlight = 0;
  #controlInARow = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(limits: RequestLimits, now: () => number = () => performance.now()) {
    this.#limits = limits;
    this.#now = now;
    this.#tokens = limits.burst;
    this.#filledAt = now();
  }

  /** Waits for the rate and for a free place among the requests under way. */
  async acquire(signal: AbortSignal, kind: RequestClass = "Work"): Promise<Slot> {
    await this.#wait({ kind, takesPlace: true }, signal);
    let released = false;
    return {
      release: () => {
        if (released) return;
        released = true;
        this.#inFlight -= 1;
        this.#serve();
      },
    };
  }

  /** Waits for the rate alone: for requests that last, such as watches. */
  async acquireRate(signal: AbortSignal): Promise<void> {
    await this.#wait({ kind: "Control", takesPlace: false }, signal);
  }

  /** Requests under way now. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Requests that wait to be sent. */
  get waiting(): number {
    return this.#waiting.Control.size + this.#waiting.Work.size;
  }

  #wait({ kind, takesPlace }: Pick<Waiter, "kind" | "takesPlace">, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      const leave = () => {
        this.#waiting[kind].delete(waiter);
        reject(signal.reason);
      };
      const enter = () => {
        signal.removeEventListener("abort", leave);
        resolve();
      };
      const waiter: Waiter = { kind, takesPlace, enter };
      signal.addEventListener("abort", leave, { once: true });
      this.#waiting[kind].add(waiter);
      this.#serve();
    });
  }

  /** Lets in as many as there are tokens and places for, and comes back when the next token is earned. */
  #serve(): void {
    this.#fill();
    for (let next = this.#next(); next !== undefined && this.#tokens >= wholeToken; next = this.#next()) {
      this.#waiting[next.kind].delete(next);
      this.#tokens -= 1;
      if (next.takesPlace) this.#inFlight += 1;
      this.#controlInARow = next.kind === "Control" ? this.#controlInARow + 1 : 0;
      next.enter();
    }
    if (this.#timer !== undefined || this.#next() === undefined) return;
    const waitMs = Math.ceil(((1 - this.#tokens) / this.#limits.perSecond) * 1000);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#serve();
    }, waitMs);
  }

  /** Who is let in next; undefined while those who wait lack a place. */
  #next(): Waiter | undefined {
    const control = this.#first("Control");
    const work = this.#first("Work");
    if (control === undefined || (work !== undefined && this.#controlInARow >= controlShare)) return work;
    return control;
  }

  #first(kind: RequestClass): Waiter | undefined {
    const { inFlight } = this.#limits;
    const places = kind === "Control" ? inFlight : Math.max(1, inFlight - Math.ceil(inFlight / keptPart));
    const isFull = this.#inFlight >= places;
    for (const waiter of this.#waiting[kind]) if (!isFull || !waiter.takesPlace) return waiter;
    return undefined;
  }

  #fill(): void {
    const now = this.#now();
    const earned = (Math.max(0, now - this.#filledAt) / 1000) * this.#limits.perSecond;
    this.#tokens = Math.min(this.#limits.burst, this.#tokens + earned);
    this.#filledAt = now;
  }
}

type Waiter = Readonly<{ kind: RequestClass; takesPlace: boolean; enter: () => void }>;

/** After so many of Control in a row one of Work is let in. */
const controlShare = 3;
/** One place in so many is kept for Control. */
const keptPart = 8;
/** Sums of thousandths fall short of one by less than this. */
const wholeToken = 1 - 1e-9;
