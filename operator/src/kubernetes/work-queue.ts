import { type BackoffOptions, backoffMs } from "./backoff.ts";

// What a key can be. Adding never runs a key twice at once, and never loses an addition made while it runs.
//
//            addAfter                 take                    done
//   (none) ───────────► Delayed ─► Queued ───────► Running ─────────► (none)
//      └───────── add ───────────────▲              │ add       │
//                                    │              ▼           │
//                                    └── done ── Running, dirty ┘
//
// Queued keys stand in one of two rows. Who waits for nothing, such as the news that a training got on, stands in the
// patient one: thousands of those never stand before one that somebody waits for, and are not kept waiting for ever.
//
// A key whose last run failed is Delayed until its back-off is over, whoever adds it and however often: only
// forgetting its failures brings it forward.

/** What a failure knows of how long to wait: what the server asked for, or how long it is worth waiting. */
export type BackOffBounds = Readonly<{ atLeastMs?: number; atMostMs?: number }>;

/** Whether anything waits for a key's run. A patient key runs where no urgent one waits, and in every fourth turn. */
export type Urgency = "Urgent" | "Patient";

/** Keys waiting for their turn: each at most once, one run per key, delayed and backed off where asked. */
export class WorkQueue {
  readonly #backoff: BackoffOptions;
  readonly #queued: Readonly<Record<Urgency, Set<string>>> = { Urgent: new Set(), Patient: new Set() };
  readonly #running = new Map<string, number>();
  readonly #dirty = new Map<string, Urgency>();
  readonly #delayed = new Map<string, Readonly<{ timer: NodeJS.Timeout; dueAt: number }>>();
  readonly #failures = new Map<string, Readonly<{ count: number; notBefore: number }>>();
  readonly #takers: ((key: string | undefined) => void)[] = [];
  readonly #drained: (() => void)[] = [];
  readonly #now: () => number;
  #urgentInARow = 0;
  #shutDown = false;

  constructor(backoff: BackoffOptions, now: () => number = () => performance.now()) {
    this.#backoff = backoff;
    this.#now = now;
  }

  /** Asks for a run of the key as soon as possible; a delayed one is brought forward, a backed off one is not. */
  add(key: string, urgency: Urgency = "Urgent"): void {
    if (this.#shutDown) return;
    const heldForMs = this.#heldForMs(key);
    if (heldForMs > 0) {
      this.addAfter(key, heldForMs);
      return;
    }
    // What is due at its time does not wait for a patient turn.
    if (urgency === "Urgent") this.#cancelDelay(key);
    if (this.#running.has(key)) {
      if (this.#dirty.get(key) !== "Urgent") this.#dirty.set(key, urgency);
      return;
    }
    const taker = this.#takers.shift();
    if (taker !== undefined) {
      this.#running.set(key, this.#now());
      taker(key);
      return;
    }
    if (this.#queued.Urgent.has(key)) return;
    if (urgency === "Urgent") this.#queued.Patient.delete(key);
    this.#queued[urgency].add(key);
  }

  /** Asks for a run of the key after a while; of two delays the earlier one counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#shutDown) return;
    const askedMs = Math.max(delayMs, this.#heldForMs(key));
    if (askedMs <= 0) {
      this.add(key);
      return;
    }
    // A longer timer would overflow and fire at once; whoever asks for it is asked again when this one fires.
    const waitMs = Math.min(askedMs, longestTimerMs);
    const dueAt = this.#now() + waitMs;
    const delayed = this.#delayed.get(key);
    if (this.#queued.Urgent.has(key) || (delayed !== undefined && delayed.dueAt <= dueAt)) return;
    this.#cancelDelay(key);
    const timer = setTimeout(() => {
      this.#delayed.delete(key);
      this.add(key);
    }, waitMs);
    this.#delayed.set(key, { timer, dueAt });
  }

  /**
   * Asks for a run after a failure: later each time in a row, until {@link forget}, within the bounds given.
   * Returns the delay.
   */
  addBackedOff(key: string, { atLeastMs = 0, atMostMs = Number.POSITIVE_INFINITY }: BackOffBounds = {}): number {
    const count = (this.#failures.get(key)?.count ?? 0) + 1;
    const delayMs = Math.max(atLeastMs, Math.min(atMostMs, backoffMs(count, this.#backoff)));
    this.#failures.set(key, { count, notBefore: this.#now() + delayMs });
    this.#cancelDelay(key);
    this.addAfter(key, delayMs);
    return delayMs;
  }

  /** Ends the key's row of failures; what is added from now on waits for none of them. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** The next key to run, of each row in the order of their additions; undefined once the queue is shut down. */
  take(): Promise<string | undefined> {
    if (this.#shutDown) return Promise.resolve(undefined);
    const key = this.#next();
    if (key === undefined) return new Promise((resolve) => this.#takers.push(resolve));
    this.#running.set(key, this.#now());
    return Promise.resolve(key);
  }

  /** The run of the key has ended; an addition made meanwhile is queued now. */
  done(key: string): void {
    this.#running.delete(key);
    const again = this.#dirty.get(key);
    this.#dirty.delete(key);
    if (again !== undefined) this.add(key, again);
    if (this.#running.size === 0) for (const resolve of this.#drained.splice(0)) resolve();
  }

  /** Takes no more keys, gives out none, and resolves when every run under way has ended. */
  shutDown(): Promise<void> {
    this.#shutDown = true;
    for (const row of Object.values(this.#queued)) row.clear();
    this.#dirty.clear();
    for (const key of [...this.#delayed.keys()]) this.#cancelDelay(key);
    for (const taker of this.#takers.splice(0)) taker(undefined);
    if (this.#running.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** Keys that wait for a free worker. */
  get depth(): number {
    return this.#queued.Urgent.size + this.#queued.Patient.size;
  }

  /** Keys being run. */
  get running(): number {
    return this.#running.size;
  }

  /** How long the longest run under way has taken so far. */
  get longestRunningMs(): number {
    const oldest = Math.min(...this.#running.values());
    return Number.isFinite(oldest) ? this.#now() - oldest : 0;
  }

  /** Takes the first key of the row whose turn it is. */
  #next(): string | undefined {
    const { Urgent, Patient } = this.#queued;
    const isPatientsTurn = Patient.size > 0 && (Urgent.size === 0 || this.#urgentInARow >= urgentShare);
    this.#urgentInARow = isPatientsTurn ? 0 : this.#urgentInARow + 1;
    const row = isPatientsTurn ? Patient : Urgent;
    const [key] = row;
    if (key !== undefined) row.delete(key);
    return key;
  }

  #heldForMs(key: string): number {
    return (this.#failures.get(key)?.notBefore ?? 0) - this.#now();
  }

  #cancelDelay(key: string): void {
    const delayed = this.#delayed.get(key);
    if (delayed === undefined) return;
    clearTimeout(delayed.timer);
    this.#delayed.delete(key);
  }
}

/** So many urgent keys in a row, then a patient one. */
const urgentShare = 3;
const longestTimerMs = 24 * 60 * 60 * 1000;
