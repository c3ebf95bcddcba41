import { ApiError, isAlreadyExists, isNotFound } from "./api-error.ts";
import { type BackoffOptions, backoffMs } from "./backoff.ts";
import type { ApiClient, Bound } from "./client.ts";
import {
  type Dropped,
  type DropReason,
  EventBook,
  type EventOutcome,
  type EventWrite,
  type Instant,
} from "./event-book.ts";
import { eventManifest, type Occurrence, type Reporter, seriesPatch, toldOf } from "./event-manifest.ts";
import { events } from "./resource.ts";
import { aborted, sleep } from "./sleep.ts";

/** Where things worth telling are told. */
export type EventSink = Readonly<{
  /** Never waits and never fails: nothing depends on an event. */
  tell: (occurrence: Occurrence) => void;
}>;

export type EventRecorderOptions = Readonly<{
  client: Pick<ApiClient, "create" | "mergePatch">;
  /** Who says it; `instance` sets this process apart. */
  reporter: Reporter;
  /** Told of what will not stand in an event, with the server's refusal where there was one. */
  onDropped: (dropped: Dropped, error?: unknown) => void;
  now?: () => Instant;
  random?: () => number;
}>;

/**
 * Writes events.k8s.io/v1 events, one at a time and beside all other work: whoever tells does not wait, and a server
 * that is slow or away costs events, never a pass. What is written when is for {@link EventBook} to say.
 */
export class EventRecorder implements EventSink {
  readonly #options: EventRecorderOptions;
  readonly #backoff: BackoffOptions;
  readonly #now: () => Instant;
  readonly #book: EventBook;
  readonly #dropped = new Map<DropReason, number>();
  readonly #underWay = new Set<Promise<unknown>>();
  readonly #stopping = new AbortController();
  #wake: () => void = () => undefined;
  #isOver = false;

  constructor(options: EventRecorderOptions) {
    this.#options = options;
    this.#backoff = { firstMs: 500, maxMs: 60_000, random: options.random ?? Math.random };
    this.#now = options.now ?? (() => ({ monotonicMs: performance.now(), wallMs: Date.now() }));
    this.#book = new EventBook(options.reporter.instance);
  }

  tell(occurrence: Occurrence): void {
    const told = toldOf(occurrence);
    if (this.#isOver) this.#drop({ why: "Stopping", told, times: 1 });
    else this.#drop(this.#book.tell(told, this.#now()));
    this.#wake();
  }

  /** Writes what is told, until the signal is aborted or a flush begins; resolves then. */
  async run(signal: AbortSignal): Promise<void> {
    const ending = AbortSignal.any([signal, this.#stopping.signal]);
    for (let failures = 0; !ending.aborted; ) {
      const next = this.#book.next(this.#now());
      if (next.kind === "Wait") {
        await this.#rest(next.untilMs, ending);
        continue;
      }
      // Under the caller's signal alone: a flush waits for what is under way.
      const { outcome, askedMs, error } = await this.#write(next.write, {
        signal,
        tries: 1,
        timeoutMs: writeTimeoutMs,
      });
      if (signal.aborted) return;
      this.#drop(this.#book.settle(next.write, outcome, this.#now()), error);
      failures = outcome === "Again" ? failures + 1 : 0;
      if (failures > 0) {
        await sleep(Math.max(askedMs, backoffMs(failures, this.#backoff)), ending).catch(() => undefined);
      }
    }
  }

  /**
   * Tries once, several at a time, to write everything that is not written, last counts too. Ends with the signal at
   * the latest, and never rejects; what is told afterwards is dropped.
   */
  async flush(bound: Bound): Promise<void> {
    this.#stopping.abort(new Error("the recorder is being flushed"));
    const once = { ...bound, tries: 1 };
    const drains = Array.from({ length: flushWriters }, () => this.#drain(once));
    await Promise.race([Promise.all([...this.#underWay, ...drains]), aborted(bound.signal)]);
    this.#isOver = true;
    for (const dropped of this.#book.abandon()) this.#drop(dropped);
  }

  /** How many things told have no event yet. */
  get backlog(): number {
    return this.#book.backlog;
  }

  /** How often something was told that no event counts, by the reason. */
  get dropped(): ReadonlyMap<DropReason, number> {
    return this.#dropped;
  }

  async #drain(bound: Bound): Promise<void> {
    for (let write = this.#book.last(); write !== undefined && !bound.signal.aborted; write = this.#book.last()) {
      const { outcome, error } = await this.#write(write, bound);
      // Not settled, so that it is not given out again: there is no time for a second try.
      if (outcome !== "Again") this.#drop(this.#book.settle(write, outcome, this.#now()), error);
    }
  }

  async #write(write: EventWrite, bound: Bound): Promise<Sent> {
    const sent = this.#send(write, bound);
    this.#underWay.add(sent);
    try {
      return await sent;
    } finally {
      this.#underWay.delete(sent);
    }
  }

  async #send({ kind, namespace, name, told, counted }: EventWrite, bound: Bound): Promise<Sent> {
    const { client, reporter } = this.#options;
    try {
      if (kind === "Create") {
        await client.create({ resource: events, namespace }, eventManifest(told, name, reporter, counted), bound);
      } else {
        await client.mergePatch({ resource: events, namespace, name }, seriesPatch(counted), bound);
      }
      return { outcome: "Done", askedMs: 0 };
    } catch (error) {
      const askedMs = error instanceof ApiError ? Math.min(error.retryAfterMs ?? 0, longestRetryAfterMs) : 0;
      return { outcome: outcomeOf(kind, error), askedMs, error };
    }
  }

  #drop(dropped: Dropped | undefined, error?: unknown): void {
    if (dropped === undefined) return;
    this.#dropped.set(dropped.why, (this.#dropped.get(dropped.why) ?? 0) + dropped.times);
    this.#options.onDropped(dropped, error);
  }

  /** Until then, until something is told, or until the signal is aborted. */
  #rest(untilMs: number | undefined, signal: AbortSignal): Promise<void> {
    const waitMs = Math.min((untilMs ?? Number.POSITIVE_INFINITY) - this.#now().monotonicMs, longestRestMs);
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    return sleep(waitMs, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
  }
}

type Sent = Readonly<{ outcome: EventOutcome; askedMs: number; error?: unknown }>;

const writeTimeoutMs = 10_000;
const longestRetryAfterMs = 30_000;
const longestRestMs = 60 * 60_000;
const flushWriters = 8;

function outcomeOf(kind: EventWrite["kind"], error: unknown): EventOutcome {
  // The name is drawn for this event alone, so one that stands is ours: the first answer was lost.
  if (kind === "Create" && isAlreadyExists(error)) return "Done";
  if (isNotFound(error)) return "Gone";
  return error instanceof ApiError && isForGood(error.status) ? "Refused" : "Again";
}

/** Whether the server would answer the same to the same request later. */
function isForGood(status: number): boolean {
  return status >= 400 && status < 500 && ![401, 408, 409, 425, 429].includes(status);
}
