import { ApiError, isExpired } from "./api-error.ts";
import { type BackoffOptions, backoffMs } from "./backoff.ts";
import type { ObjectCache } from "./cache.ts";
import type { ApiClient, Page } from "./client.ts";
import { atLeastAsNew, type KubeObject } from "./kube-object.ts";
import { describe, type Resource, type Target } from "./resource.ts";
import { sleep } from "./sleep.ts";
import { UnreadableWatchError, type WatchEvent, watchEvents } from "./watch-stream.ts";

// Keeps one scope of a cache equal to the server's, however the connection behaves.
//
//              every page read                 an event, a bookmark
//   ┌─────────┐ ─────────────────► ┌──────────┐ ───────┐
//   │ Listing │                    │ Watching │ ◄──────┘ version moves on
//   └─────────┘ ◄───────────────── └──────────┘
//     ▲     │    410, unreadable      │   ▲ │
//     │     │    line, too many       │   │ │ end of the stream as agreed:
//     │     │    fruitless resumes    │   └─┘ watch again at once
//     │     │                         │
//     │     │ any error               │ any other error: reset, 5xx, 429, nothing heard
//     │     ▼                         ▼
//     │  ┌──────────────────────────────┐
//     └──┤           Waiting            │ then goes on where it was: the same version is
//        └──────────────────────────────┘ watched again, so that no event is missed
//
// A version never goes back: a list or an event older than what was seen comes from a server that lags
// (or from a restored backup), and is refused until the server has caught up or this process is restarted.

/** Which state the reflector is in; shown by /metrics. */
export type ReflectorState = "Listing" | "Watching" | "Waiting";

export type ReflectorOptions<T extends KubeObject> = Readonly<{
  client: ApiClient;
  cache: ObjectCache<T>;
  resource: Resource;
  /** One namespace, or all where absent. */
  namespace?: string | undefined;
  labelSelector?: string | undefined;
  /** Leaves out what nobody reads, before it is kept. */
  trim: (object: KubeObject) => T;
  timing?: Partial<ReflectorTiming>;
  /** Told of every error that was overcome; the reflector goes on by itself. */
  onError: (error: unknown, about: string) => void;
  random?: () => number;
  now?: () => number;
}>;

export type ReflectorTiming = Readonly<{
  /** A watch is asked to end after this long, or up to twice as long: the draw spreads reconnects. */
  watchSeconds: number;
  /** The server sends a bookmark about once a minute; a longer silence is a broken connection. */
  idleMs: number;
  openTimeoutMs: number;
  pageSize: number;
  backoff: Readonly<{ firstMs: number; maxMs: number }>;
  /** Resumes without a single event between them before a list is due. */
  fruitlessResumes: number;
}>;

/** A state of the server older than one already seen. */
export class StaleServerError extends Error {
  override readonly name = "StaleServerError";
}

/** A watch that the server accepted and ended without a word. */
export class ShortWatchError extends Error {
  override readonly name = "ShortWatchError";
}

/** Lists, then watches, then recovers, until its signal is aborted. */
export class Reflector<T extends KubeObject> {
  readonly #options: ReflectorOptions<T>;
  readonly #timing: ReflectorTiming;
  readonly #backoff: BackoffOptions;
  readonly #now: () => number;
  #state: ReflectorState = "Listing";
  #version: string | undefined;
  #synced = false;
  #failures = 0;
  #lastEventAt: number;
  #blindSince: number | undefined;
  #staleSince: number | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#timing = { ...defaultTiming, ...options.timing };
    this.#backoff = { ...this.#timing.backoff, random: options.random ?? Math.random };
    this.#now = options.now ?? (() => performance.now());
    this.#lastEventAt = this.#now();
    this.#blindSince = this.#lastEventAt;
  }

  /** Runs until the signal is aborted; resolves then. Errors are overcome, never thrown. */
  async run(signal: AbortSignal): Promise<void> {
    let next: "Listing" | "Watching" = "Listing";
    while (!signal.aborted) {
      this.#state = next;
      try {
        if (next === "Listing") await this.#list(signal);
        else await this.#watch(signal);
        next = "Watching";
      } catch (error) {
        if (signal.aborted) return;
        this.#options.onError(error, this.about);
        this.#blindSince ??= this.#now();
        if (error instanceof StaleServerError) this.#staleSince ??= this.#now();
        next = this.#afterError(error);
        await this.#wait(error, signal);
      }
    }
  }

  /** What it keeps, in words: `pods team-a`. */
  get about(): string {
    return describe(this.#target());
  }

  get state(): ReflectorState {
    return this.#state;
  }

  /** Whether the cache has held a whole list at least once. */
  get hasSynced(): boolean {
    return this.#synced;
  }

  /** The version of the server's state up to which the cache is complete. */
  get version(): string | undefined {
    return this.#version;
  }

  /** When the server last said anything, on the clock given. */
  get lastEventAt(): number {
    return this.#lastEventAt;
  }

  /** Since when no watch has been open, on the clock given; undefined while one is. */
  get blindSince(): number | undefined {
    return this.#blindSince;
  }

  /** Since when the server shows only states older than one already seen; undefined while it does not. */
  get staleSince(): number | undefined {
    return this.#staleSince;
  }

  /** Whether the cache holds what a write with this version did, or something newer. */
  hasSeen(resourceVersion: string): boolean {
    return this.#version !== undefined && atLeastAsNew(this.#version, resourceVersion);
  }

  #target(): Target {
    return { resource: this.#options.resource, namespace: this.#options.namespace };
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, cache, labelSelector, namespace, trim } = this.#options;
    const items: T[] = [];
    let page: Page<KubeObject> | undefined;
    do {
      const query = { labelSelector, limit: String(this.#timing.pageSize), continue: page?.metadata.continue };
      page = await client.list<KubeObject>(this.#target(), query, { signal });
      this.#lastEventAt = this.#now();
      for (const item of page.items) items.push(trim(item));
    } while (page.metadata.continue !== undefined && page.metadata.continue !== "");
    this.#advance(page.metadata.resourceVersion);
    cache.replace(items, namespace);
    this.#synced = true;
    this.#failures = 0;
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { client, labelSelector } = this.#options;
    const { watchSeconds, idleMs, openTimeoutMs } = this.#timing;
    const seconds = Math.ceil(watchSeconds * (1 + this.#backoff.random()));
    // Ended in every case when this function is left: an abandoned half-open connection would last for hours.
    const connection = new AbortController();
    try {
      const body = await client.watch(
        this.#target(),
        { labelSelector, resourceVersion: this.#version, allowWatchBookmarks: "true", timeoutSeconds: String(seconds) },
        { signal: AbortSignal.any([signal, connection.signal]), openTimeoutMs },
      );
      const openedAt = this.#now();
      this.#lastEventAt = openedAt;
      this.#blindSince = undefined;
      for await (const event of watchEvents(body, { idleMs, longestLineBytes })) {
        this.#lastEventAt = this.#now();
        this.#take(event);
        this.#failures = 0;
      }
      // A server that hangs up at once without a word must not be asked again at once, for ever.
      if (this.#lastEventAt === openedAt && this.#now() - openedAt < shortestWatchMs) {
        throw new ShortWatchError(`Cannot watch ${this.about} because the server ended the watch at once`);
      }
    } finally {
      connection.abort();
    }
  }

  #take(event: WatchEvent): void {
    const { cache, trim, resource } = this.#options;
    if (event.type === "BOOKMARK") {
      this.#advance(event.resourceVersion);
      return;
    }
    if (event.type === "ERROR") {
      const { status, reason, message } = event;
      throw new ApiError({ method: "WATCH", target: { resource } }, { status, reason, detail: message });
    }
    const object = trim(event.object);
    // The same version again is the repeat of an event already taken in.
    if (object.metadata.resourceVersion === this.#version) return;
    this.#advance(object.metadata.resourceVersion);
    if (event.type === "DELETED") cache.remove(object);
    else cache.put(object);
  }

  #advance(version: string): void {
    if (this.#version !== undefined && !atLeastAsNew(version, this.#version)) {
      throw new StaleServerError(
        `Cannot take in ${this.about} because the server's state is older than one already seen: ${version} after ${this.#version}`,
      );
    }
    this.#version = version;
    this.#staleSince = undefined;
  }

  #afterError(error: unknown): "Listing" | "Watching" {
    this.#failures += 1;
    if (this.#version === undefined || !this.#synced || this.#state === "Listing") return "Listing";
    if (isExpired(error) || error instanceof UnreadableWatchError) return "Listing";
    return this.#failures > this.#timing.fruitlessResumes ? "Listing" : "Watching";
  }

  async #wait(error: unknown, signal: AbortSignal): Promise<void> {
    this.#state = "Waiting";
    const asked = error instanceof ApiError ? Math.min(error.retryAfterMs ?? 0, longestRetryAfterMs) : 0;
    await sleep(Math.max(asked, backoffMs(this.#failures, this.#backoff)), signal).catch(() => undefined);
  }
}

const longestLineBytes = 16 * 1024 * 1024;
const shortestWatchMs = 1_000;
const longestRetryAfterMs = 30_000;

const defaultTiming: ReflectorTiming = {
  watchSeconds: 240,
  idleMs: 90_000,
  openTimeoutMs: 30_000,
  pageSize: 500,
  backoff: { firstMs: 250, maxMs: 30_000 },
  fruitlessResumes: 5,
};
