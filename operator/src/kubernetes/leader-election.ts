import { randomUUID } from "node:crypto";
import { ApiError, isAlreadyExists, isConflict, isNotFound } from "./api-error.ts";
import { backingOff, beingOutdated, type Instant, nothingKnown, seeing, sending } from "./candidacy.ts";
import type { ApiClient, Bound } from "./client.ts";
import type { KubeObject } from "./kube-object.ts";
import { checkTiming, heldUntilMs, isHeld, type LeaseTiming, type Move, nextMove } from "./lease.ts";
import { type LeaseRecord, leases, readLease } from "./lease-record.ts";
import { watchLease } from "./lease-watch.ts";
import { apiVersionOf } from "./resource.ts";
import { sleep } from "./sleep.ts";
import { NotLeadingError, OpenTerm, ResigningError, type Term, TermWork, type WorkEnd } from "./term.ts";

// Lets one of several processes lead, by turns, through one Lease object.
//
//                 the lease is free               the write won
//   ┌───────────┐ ────────────────► ┌───────────┐ ─────────────► ┌─────────┐ ──┐ renewed
//   │ Following │                   │ Acquiring │                │ Leading │ ◄─┘
//   └───────────┘ ◄──────────────── └───────────┘                └─────────┘
//     ▲       │    another won, no answer                             │ another holder seen; 10 s since the last
//     │       │                                                       │ renewal that stands was sent; asked to stop;
//     │       │                                                       ▼ the work ended
//     │       │                                              ┌──────────────┐
//     │       │ asked to stop                                │ SteppingDown │
//     │       │                                              └──────────────┘
//     │       │                    the work has ended, the lease is lost │ │ the work has ended
//     └───────┼──────────────────────────────────────────────────────────┘ │
//             │                                                            ▼
//             └─────────────────────────────────────────────────────► ┌──────────┐
//                                                    given up, or not ours │ Released │
//                                                                     └──────────┘
//
// Work that resigns has the Lease given up as well; then this one rests, as Following, and goes on.
//
// A holder counts from when it sent a renewal, all others from when they saw it, each on its own monotonic clock: that
// the first stops before the second begins needs no clock to be right. Between a check and the byte on the wire a process
// can still be paused, so a term's writes must also be such that the server refuses late ones (I7).

/** Which state the election is in; shown by /metrics. */
export type ElectionState = "Following" | "Acquiring" | "Leading" | "SteppingDown" | "Released";

export type LeaderElectionOptions = Readonly<{
  /** Its own, with a limit of its own: a renewal must not queue behind the work that it is for. */
  client: Pick<ApiClient, "get" | "create" | "mergePatch" | "watch">;
  lease: Readonly<{ namespace: string; name: string }>;
  /** From {@link uniqueIdentity}. */
  identity: string;
  timing: LeaseTiming;
  /** Milliseconds of a clock that is never set. */
  now: () => number;
  random: () => number;
  /** Told of every change of state. What it throws is told to `onError`. */
  onChange: (state: ElectionState) => void;
  /** Told of every error that was overcome; the election goes on by itself. */
  onError: (error: unknown, about: string) => void;
}>;

/** Work that did not end with its term: nobody can say what it still does, so this process must. */
export class TermNotEndedError extends Error {
  override readonly name = "TermNotEndedError";
}

/** The identity of this process: one that starts anew under the same name is another candidate. */
export function uniqueIdentity(name: string): string {
  return `${name}_${randomUUID()}`;
}

/** A candidate for leadership. Whatever the server does, it goes on. */
export class LeaderElection {
  readonly #options: LeaderElectionOptions;
  readonly #patienceMs: number;
  #known = nothingKnown;
  #state: ElectionState = "Following";
  #term: OpenTerm | undefined;
  #turnedAtMs: number;
  #wake = (): void => undefined;

  /** @throws {RangeError} for a timing under which two could lead. */
  constructor(options: LeaderElectionOptions) {
    checkTiming(options.timing);
    this.#options = options;
    this.#patienceMs = options.random() * longestPatienceMs;
    this.#turnedAtMs = options.now();
  }

  get state(): ElectionState {
    return this.#state;
  }

  /** Who was last seen to hold the Lease; undefined where nobody was. */
  get holder(): string | undefined {
    return this.#known.sight?.record?.holder || undefined;
  }

  /** When its loop last turned, on the clock given: never much longer ago than a request, or the end of a term, takes. */
  get turnedAtMs(): number {
    return this.#turnedAtMs;
  }

  /**
   * Takes part until the signal is aborted, and does `lead` whenever it leads; resolves once the Lease is given up. It
   * also gives up, and resolves or rejects, where `lead` ends without being asked to, but for a {@link ResigningError}:
   * then it rests and goes on. Rejects with {@link TermNotEndedError} where `lead` goes on for long after its term.
   */
  async run(signal: AbortSignal, lead: (term: Term) => Promise<void>): Promise<void> {
    const watching = new AbortController();
    const watch = this.#watch(watching.signal);
    try {
      const failure = await this.#elect(signal, lead);
      await this.#giveUp();
      if (failure !== undefined) throw failure.error;
    } finally {
      watching.abort();
      await watch;
      this.#enter("Released");
    }
  }

  /** Follows and leads by turns; resolves when it is time to go, with the error that `lead` went by. */
  async #elect(
    signal: AbortSignal,
    lead: (term: Term) => Promise<void>,
  ): Promise<Readonly<{ error: unknown }> | undefined> {
    while (await this.#acquire(signal)) {
      const { end, isLost } = await this.#serve(signal, lead);
      if (end.kind === "Failed" && end.error instanceof ResigningError) {
        await this.#handOn(end.error, signal);
        continue;
      }
      if (end.kind === "Failed") return end;
      if (!isLost) return undefined;
    }
    return undefined;
  }

  /** Resolves with true once the Lease is held, with false where the signal is aborted before. */
  async #acquire(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (isHeld(this.#known, this.#instant(), this.#options.timing)) return true;
      const move = this.#next("Lead");
      this.#enter(move.kind === "Wait" || move.kind === "Look" ? "Following" : "Acquiring");
      await this.#make(move, signal);
    }
    return false;
  }

  /** One term, from its beginning until its work has ended. */
  async #serve(signal: AbortSignal, lead: (term: Term) => Promise<void>): Promise<TermEnd> {
    const { timing } = this.#options;
    const isStillHeld = () => isHeld(this.#known, this.#instant(), timing);
    const term = new OpenTerm(this.#known.sight?.record?.transitions ?? 0, isStillHeld);
    this.#term = term;
    this.#enter("Leading");
    const guard = this.#endWhenLost(term);
    const work = new TermWork(term, lead);
    const busy = AbortSignal.any([signal, term.signal, work.ended]);
    while (!busy.aborted) {
      await this.#make(this.#next("Lead"), busy);
      this.#endIfLost(term);
    }
    this.#enter("SteppingDown");
    const isLost = term.signal.aborted && !signal.aborted;
    const leaving = new NotLeadingError(
      `Cannot go on leading because the process is asked to stop: term ${term.number}`,
    );
    term.ask(leaving);
    await work.endsWithin(timing.drainMs, term.signal);
    term.end(leaving);
    await guard;
    await work.endsWithin(timing.abandonMs, never);
    this.#term = undefined;
    if (work.end !== undefined) return { end: work.end, isLost };
    throw new TermNotEndedError(
      `Cannot go on because the work of term ${term.number} has not ended ${timing.abandonMs} ms after its term`,
    );
  }

  async #endWhenLost(term: OpenTerm): Promise<void> {
    while (!term.signal.aborted) {
      const leftMs = heldUntilMs(this.#known, this.#options.timing) - this.#options.now();
      await sleep(Math.max(0, leftMs), term.signal).catch(() => undefined);
      this.#endIfLost(term);
    }
  }

  #endIfLost(term: OpenTerm): void {
    if (this.#options.now() >= heldUntilMs(this.#known, this.#options.timing)) term.end(this.#lost(term));
  }

  /** Leaves the Lease to others for a while, also where nobody takes it. */
  async #handOn(error: ResigningError, signal: AbortSignal): Promise<void> {
    const { now, timing } = this.#options;
    this.#report(error);
    await this.#giveUp();
    this.#enter("Following");
    const untilMs = now() + error.restMs;
    while (!signal.aborted && now() < untilMs) {
      await this.#make({ kind: "Wait", untilMs: Math.min(untilMs, now() + timing.retryMs) }, signal);
    }
  }

  /** Tries to give the Lease up, so that another need not wait for its end. */
  async #giveUp(): Promise<void> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), this.#options.timing.releaseMs);
    try {
      for (let move = this.#next("Leave"); move.kind !== "Done" && !late.signal.aborted; move = this.#next("Leave"))
        await this.#make(move, late.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  #next(wants: "Lead" | "Leave"): Move {
    const self = { identity: this.#options.identity, wants, patienceMs: this.#patienceMs };
    return nextMove(this.#known, self, this.#instant(), this.#options.timing);
  }

  async #make(move: Move, signal: AbortSignal): Promise<void> {
    this.#turnedAtMs = this.#options.now();
    if (move.kind === "Wait") await this.#pause(move.untilMs, signal);
    else if (move.kind !== "Done") await this.#ask(move, signal);
  }

  /** Waits, for news too. */
  async #pause(untilMs: number, signal: AbortSignal): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    const waitMs = Math.max(0, untilMs - this.#options.now());
    await sleep(waitMs, AbortSignal.any([signal, woken.signal])).catch(() => undefined);
  }

  async #ask(move: Exclude<Move, { kind: "Wait" | "Done" }>, signal: AbortSignal): Promise<void> {
    const at = this.#instant();
    if (move.kind !== "Look") {
      const { renewTime } = move.spec;
      this.#known = sending(this.#known, { renewTime, at, isCreation: move.kind === "Create" });
    }
    try {
      this.#see(readLease(await this.#send(move, signal)), at.monotonicMs);
    } catch (error) {
      if (signal.aborted) return;
      if (isNotFound(error) && move.kind !== "Create") this.#see(null, at.monotonicMs);
      else if (isConflict(error) || isAlreadyExists(error)) this.#known = beingOutdated(this.#known);
      else {
        this.#report(error);
        this.#known = backingOff(this.#known, this.#nextTryMs(at.monotonicMs, error));
      }
    }
  }

  #send(move: Exclude<Move, { kind: "Wait" | "Done" }>, signal: AbortSignal): Promise<KubeObject> {
    const { client, lease, timing } = this.#options;
    const bound: Bound = { signal, tries: 1, timeoutMs: timing.retryMs * 2 };
    const collection = { resource: leases, namespace: lease.namespace };
    const target = { ...collection, name: lease.name };
    if (move.kind === "Look") return client.get(target, bound);
    if (move.kind === "Create") {
      const object = { apiVersion: apiVersionOf(leases), kind: leases.kind, metadata: { name: lease.name } };
      return client.create(collection, { ...object, spec: move.spec }, bound);
    }
    const { uid, resourceVersion } = move.over;
    return client.mergePatch(target, { metadata: { uid, resourceVersion }, spec: move.spec }, bound);
  }

  #watch(signal: AbortSignal): Promise<void> {
    const { client, lease, now, random, timing } = this.#options;
    const bounds = { idleMs: timing.renewDeadlineMs, openTimeoutMs: timing.retryMs * 2 };
    const onEvent = (record: LeaseRecord | null, version: string) => this.#see(record, null, version);
    const onError = (error: unknown) => this.#report(error);
    return watchLease({ client, lease, now, random, ...bounds, onEvent, onError }, signal);
  }

  #see(record: LeaseRecord | null, askedAtMs: number | null, version = record?.resourceVersion ?? null): void {
    const { identity, now } = this.#options;
    this.#known = seeing(this.#known, identity, { record, version, atMs: now(), askedAtMs });
    if (this.#term !== undefined) this.#endIfLost(this.#term);
    this.#wake();
  }

  /** Soon, since a lease is at stake: at once where the request itself took long, later where the server asks for it. */
  #nextTryMs(sentAtMs: number, error: unknown): number {
    const { retryMs, renewDeadlineMs } = this.#options.timing;
    const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    return Math.max(sentAtMs + retryMs / 2, this.#options.now() + Math.min(asked, renewDeadlineMs / 2));
  }

  #lost(term: OpenTerm): NotLeadingError {
    const { record } = this.#known.sight ?? { record: null };
    const why =
      record !== null && record.holder !== this.#options.identity
        ? `another holds the lease: ${record.holder || "nobody"}`
        : `no renewal came through for ${this.#options.timing.renewDeadlineMs} ms`;
    return new NotLeadingError(`Cannot go on leading because ${why}: term ${term.number}`);
  }

  #instant(): Instant {
    return { monotonicMs: this.#options.now(), wallMs: Date.now() };
  }

  #enter(state: ElectionState): void {
    if (state === this.#state) return;
    this.#state = state;
    try {
      this.#options.onChange(state);
    } catch (error) {
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    const { lease, onError } = this.#options;
    try {
      onError(error, `lease ${lease.namespace}/${lease.name}`);
    } catch {
      // Whoever is told of errors must not end what goes on in spite of them, and nobody else is there to be told.
    }
  }
}

type TermEnd = Readonly<{ end: WorkEnd; isLost: boolean }>;

const longestPatienceMs = 300;
const never = new AbortController().signal;
