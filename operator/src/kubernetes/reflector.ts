import { ApiError, isExpired } from "./api-error.ts";
import { backoffMs } from "./backoff.ts";
import { BrokenListenerError, type ObjectCache } from "./cache.ts";
import type { ApiClient } from "./client.ts";
import type { KubeObject } from "./kube-object.ts";
import { type ListBounds, readVersion, readWholeList } from "./list-page.ts";
import type { Scope } from "./readable-object.ts";
import { listNow, type Next, nextAfter, type Outcomes, type Task } from "./reflector-state.ts";
import { defaultTiming, type ReflectorTiming } from "./reflector-timing.ts";
import { RefreshRequests } from "./refresh-requests.ts";
import { describe } from "./resource.ts";
import { Sight, StaleServerError } from "./sight.ts";
import { sleep } from "./sleep.ts";
import { OverdueWatchError, UnreadableWatchError, type WatchEvent, watchEvents } from "./watch-stream.ts";

// Keeps one scope of a cache equal to the server's, however the connection behaves. What follows what is one table,
// in reflector-state.ts; how much is known, and since when, is kept by sight.ts.
//
//                     whole                  accepted
//   ┌─────────┐ ─────────────► ┌─────────┐ ──────────► ┌──────────┐ ───┐ an event, a bookmark:
//   │ Listing │                │ Opening │             │ Watching │ ◄──┘ complete until now
//   └─────────┘                └─────────┘ ◄────────── └──────────┘
//    ▲       ▲                   ▲  │   ended as agreed:   │  │ ended as agreed,
//    │       │      not accepted │  │   complete until now │  │ without a closing word
//    │       └───────────────────┼──┘                      │  ▼
//    │                           │    the server is   ┌──────────┐
//    │                           └─────────────────── │ Checking │ is the server past our version?
//    │                             past it            └──────────┘
//    │   unreadable, 410, older, a failed list or check,   │ reset, ended within a line or too soon, 5xx in
//    │   anything overdue or broken that leaves too        │ the stream: the same version is watched again, so
//    └── little time for one more watch ◄──────────────────┘ that no event is missed
//
// Every way back after an error leads through Waiting. Nothing is done twice within a second, and errors in a row
// are only forgotten after a watch that lived.
//
// Never blind for longer than a minute: each watch is asked to end in time for a list before the minute is over
// that began with the last proof of completeness, and one that does not end by then is given up. Proof is a list,
// an event, a bookmark, or the agreed end of a watch.

export type { ReflectorTiming } from "./reflector-timing.ts";

/** Which state the reflector is in; shown by /metrics. */
export type ReflectorState = "Listing" | "Opening" | "Watching" | "Checking" | "Waiting";

export type ReflectorOptions<T extends KubeObject> = Scope &
  Readonly<{
    client: Pick<ApiClient, "list" | "watch">;
    cache: ObjectCache<T>;
    /** Leaves out what nobody reads, before it is kept. */
    trim: (object: KubeObject) => T;
    timing?: Partial<ReflectorTiming>;
    /** Told of every error that was overcome; the reflector goes on by itself. */
    onError: (error: unknown, about: string) => void;
  }>;

/** A watch that the server accepted and ended long before it was asked to. */
export class ShortWatchError extends Error {
  override readonly name = "ShortWatchError";
}

/** Lists, then watches, then recovers, until its signal is aborted. */
export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #timing: ReflectorTiming;
  readonly #sight: Sight;
  readonly #refreshes = new RefreshRequests();
  readonly #begunAt: Record<Task, number> = { List: never, Watch: never, Check: never };
  #turn = new AbortController();
  #state: ReflectorState = "Listing";
  #synced = false;
  #failures = 0;
  #waitMs = 0;
  #watchEndedAt = never;
  #lastEventAt = performance.now();

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#timing = { ...defaultTiming, ...options.timing };
    this.#sight = new Sight(this.#timing.doubtMs);
  }

  /** Runs until the signal is aborted; resolves then. Errors are overcome, never thrown. */
  async run(signal: AbortSignal): Promise<void> {
    let next = listNow;
    while (!signal.aborted) next = await this.#take(next, signal);
    this.#refreshes.end(signal.reason);
  }

  /**
   * Resolves once the cache holds all that was written before this call, by a consistent list that begins after it.
   * Waits for as long as the server does not give one; rejects when a signal is aborted, this one or that of the run.
   */
  async refresh(signal: AbortSignal): Promise<void> {
    const listed = this.#refreshes.wait(signal);
    // A list under way began too early, and is not cut off: it is followed by another.
    if (this.#state !== "Listing") this.#turn.abort(new Error("a fresh list is asked for"));
    await listed;
  }

  /** What it keeps, in words: `pods team-a`. */
  get about(): string {
    return describe(this.#options);
  }

  get state(): ReflectorState {
    return this.#state;
  }

  /** Whether the cache has held a whole list at least once. */
  get hasSynced(): boolean {
    return this.#synced;
  }

  /** When the server last said anything; as all instants here, of the monotonic clock. */
  get lastEventAt(): number {
    return this.#lastEventAt;
  }

  /** The cache holds all that the server had written before this instant. */
  get completeAt(): number {
    return this.#sight.completeAt;
  }

  /** Since when no watch has been open; undefined while one is. */
  get lostAt(): number | undefined {
    return this.#sight.lostAt;
  }

  /** Whether the cache holds what a write did that was answered with this version, at that instant. */
  hasSeen(resourceVersion: string, writtenAt: number): boolean {
    return this.#sight.hasSeen(resourceVersion, writtenAt);
  }

  async #take(next: Next, signal: AbortSignal): Promise<Next> {
    this.#turn = new AbortController();
    this.#state = "Waiting";
    if (this.#refreshes.isAsked && next.task !== "List") return listNow;
    const either = AbortSignal.any([signal, this.#turn.signal]);
    let task: Task = "List";
    try {
      if (next.wait === "BackOff") await sleep(this.#waitMs, either);
      task = next.task === "Resume" ? this.#resume() : next.task;
      await this.#space(task, either);
      return await this.#perform(task, either);
    } catch (error) {
      if (signal.aborted || this.#turn.signal.aborted) return listNow;
      this.#report(error);
      this.#failures += 1;
      this.#waitMs = this.#backOffMs(error);
      return this.#afterError(task, error);
    }
  }

  async #perform(task: Task, signal: AbortSignal): Promise<Next> {
    this.#begunAt[task] = performance.now();
    if (task === "Watch") return nextAfter("Watch", await this.#watch(signal));
    if (task === "Check") return nextAfter("Check", await this.#check(signal));
    return nextAfter("List", await this.#list(signal));
  }

  async #list(signal: AbortSignal): Promise<"Whole"> {
    const { client, cache, namespace, trim } = this.#options;
    this.#state = "Listing";
    const listed = this.#refreshes.begin();
    const askedAt = performance.now();
    const { version, items } = await readWholeList(client, this.#options, this.#listBounds(signal));
    this.#lastEventAt = performance.now();
    const replaced = this.#sight.list(version, askedAt);
    if (replaced !== undefined) this.#report(replaced);
    this.#tell(() => cache.replace(items.map(trim), namespace, replaced === undefined ? "Same" : "Another"));
    this.#synced = true;
    listed();
    return "Whole";
  }

  async #watch(signal: AbortSignal): Promise<"Ended" | "Silent"> {
    this.#state = "Opening";
    const { livedMs, overdueMs } = this.#timing;
    const seconds = this.#watchSeconds();
    // Ended in every case when this function is left: an abandoned half-open connection would last for hours.
    const connection = new AbortController();
    const either = AbortSignal.any([signal, connection.signal]);
    let openedAt = Number.POSITIVE_INFINITY;
    let lastWordAt = never;
    try {
      const body = await this.#open(seconds, either);
      openedAt = performance.now();
      this.#state = "Watching";
      this.#lastEventAt = openedAt;
      this.#sight.open();
      const bounds = { scope: this.#options, overdueMs: seconds * 1000 + overdueMs, longestLineBytes, signal: either };
      for await (const event of watchEvents(body, bounds)) {
        lastWordAt = performance.now();
        this.#lastEventAt = lastWordAt;
        this.#hear(event);
      }
      return this.#endAsAgreed({ openedAt, lastWordAt });
    } finally {
      connection.abort();
      this.#sight.lose();
      if (performance.now() - openedAt >= livedMs) this.#failures = 0;
    }
  }

  #open(seconds: number, signal: AbortSignal): ReturnType<ApiClient["watch"]> {
    const { client, resource, namespace, labelSelector } = this.#options;
    const query = {
      labelSelector,
      resourceVersion: this.#sight.version,
      allowWatchBookmarks: "true",
      timeoutSeconds: String(seconds),
    };
    return client.watch({ resource, namespace }, query, { signal, openTimeoutMs: this.#timing.openTimeoutMs });
  }

  #hear(event: WatchEvent): void {
    const { cache, trim, resource } = this.#options;
    if (event.type === "BOOKMARK") {
      this.#sight.advance(event.resourceVersion);
      return;
    }
    if (event.type === "ERROR") {
      const { status, reason, message } = event;
      throw new ApiError({ method: "WATCH", target: { resource } }, { status, reason, detail: message });
    }
    const { object } = event;
    const isRepeat = object.metadata.resourceVersion === this.#sight.version;
    this.#sight.advance(object.metadata.resourceVersion);
    if (isRepeat) return;
    this.#tell(() => (event.type === "DELETED" ? cache.remove(trim(object)) : cache.put(trim(object))));
  }

  #endAsAgreed({ openedAt, lastWordAt }: Readonly<{ openedAt: number; lastWordAt: number }>): "Ended" | "Silent" {
    const endedAt = performance.now();
    const livedMs = endedAt - openedAt;
    if (livedMs < this.#timing.livedMs) {
      const message = `Cannot watch ${this.about} because the server ended the watch after ${Math.round(livedMs)} ms`;
      throw new ShortWatchError(message);
    }
    this.#watchEndedAt = endedAt;
    if (endedAt - lastWordAt > closingMs) return "Silent";
    this.#sight.confirm(endedAt);
    return "Ended";
  }

  async #check(signal: AbortSignal): Promise<"Newer"> {
    this.#state = "Checking";
    const version = await readVersion(this.#options.client, this.#options, this.#listBounds(signal));
    this.#lastEventAt = performance.now();
    this.#sight.compare(version);
    this.#sight.confirm(this.#watchEndedAt);
    return "Newer";
  }

  #listBounds(signal: AbortSignal): ListBounds {
    const { pageSize, pageTimeoutMs } = this.#timing;
    return { pageSize, pageTimeoutMs, signal };
  }

  /** A broken listener or index is a defect of this program; the change is taken in, so nothing need be read again. */
  #tell(change: () => void): void {
    try {
      change();
    } catch (error) {
      if (!(error instanceof BrokenListenerError)) throw error;
      this.#report(error);
    }
  }

  #report(error: unknown): void {
    try {
      this.#options.onError(error, this.about);
    } catch {
      // Whoever is told of errors cannot be told of his own, and the cache must not go blind for it.
    }
  }

  #afterError(task: Task, error: unknown): Next {
    if (task === "Watch") return nextAfter("Watch", this.#watchOutcome(error));
    return nextAfter(task, error instanceof StaleServerError ? "Older" : "Broken");
  }

  #watchOutcome(error: unknown): Outcomes["Watch"] {
    if (error instanceof StaleServerError) return "Older";
    if (isExpired(error) || error instanceof UnreadableWatchError) return "Lost";
    if (error instanceof OverdueWatchError) return "Overdue";
    if (error instanceof ShortWatchError) return "Short";
    const isTurnedAway = error instanceof ApiError && error.status === 429;
    return this.#state === "Opening" && !isTurnedAway ? "Unopened" : "Broken";
  }

  #resume(): Task {
    return this.#roomMs() >= this.#timing.watchSeconds.least * 1000 ? "Watch" : "List";
  }

  /** How long a watch opened now may last, so that there is time for a list if nothing at all comes of it. */
  #roomMs(): number {
    const { blindLimitMs, openTimeoutMs, overdueMs, listMs } = this.#timing;
    return blindLimitMs - openTimeoutMs - overdueMs - listMs - this.#sight.blindForMs;
  }

  #watchSeconds(): number {
    const { least, most } = this.#timing.watchSeconds;
    const drawn = least + Math.random() * (most - least);
    // A list that itself took most of the minute is followed by a short watch rather than by a list for ever.
    return Math.max(Math.min(least, briefestSeconds), Math.floor(Math.min(drawn, this.#roomMs() / 1000)));
  }

  #backOffMs(error: unknown): number {
    const own = backoffMs(this.#failures, { ...this.#timing.backoff, random: Math.random });
    // Asked again no later than the doubt is over: until then the cache is blind.
    if (error instanceof StaleServerError) return Math.min(own, this.#sight.doubtLeftMs ?? own);
    if (!(error instanceof ApiError)) return own;
    return Math.max(own, Math.min(error.retryAfterMs ?? 0, longestRetryAfterMs));
  }

  /** Lets a second pass between the beginnings of a task, whatever became of the first. */
  async #space(task: Task, signal: AbortSignal): Promise<void> {
    const waitMs = this.#begunAt[task] + this.#timing.spacingMs - performance.now();
    if (waitMs > 0) await sleep(waitMs, signal);
    signal.throwIfAborted();
  }
}

const never = Number.NEGATIVE_INFINITY;
const longestLineBytes = 16 * 1024 * 1024;
const longestRetryAfterMs = 30_000;
const briefestSeconds = 10;
/** The server's closing bookmark comes 2 s before the agreed end. */
const closingMs = 5_000;
