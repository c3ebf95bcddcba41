import { ApiError, NoAnswerError } from "../src/kubernetes/api-error.ts";
import type { ApiClient, Bound, Page, Query, WatchBody } from "../src/kubernetes/client.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import type { Target } from "../src/kubernetes/resource.ts";

/** The one kind of object it holds. */
export const things = { group: "", version: "v1", plural: "things", kind: "Thing", scope: "Namespaced" } as const;

/** What the next list, or the next opening of a watch, comes to instead. */
export type Fault = "Refused" | "Stall" | "Slow" | "Error" | "TooMany" | "NoList" | "Nothing" | "Old";

/** What was asked, and when; a `Page` is one of a list after its first. */
export type Asked = Readonly<{ what: "List" | "Page" | "Check" | "Watch"; at: number; tries: number | undefined }>;

type Event = Readonly<{ type: "ADDED" | "MODIFIED" | "DELETED"; version: number; object: KubeObject }>;
type State = Readonly<{ version: number; objects: ReadonlyMap<string, KubeObject> }>;

/**
 * A server in virtual time with the ways of a real one: lists are consistent, a watch tells what is newer than the
 * version it is asked for (nothing until then, if the server has yet to reach it) and ends when it was asked to.
 */
export class FlakyServer implements Pick<ApiClient, "list" | "watch"> {
  readonly asked: Asked[] = [];
  readonly streams = new Set<Stream>();
  /** Whether a bookmark comes 2 s before a watch ends, where there is something new to tell. */
  sendsBookmarks = true;
  isDown = false;
  /** How long a slow answer takes. It says what was so when it was asked for. */
  slowMs = 3_000;
  /** How long a restore takes: nobody is answered meanwhile. */
  awayMs = 20_000;
  /** Whether a watch is ended when it was asked to be. */
  endsWatches = true;
  /** Watches are taken and nothing ever comes over them, as behind a proxy that collects whole answers. */
  holdsWatchesBack = false;
  readonly #listFaults: Fault[] = [];
  readonly #watchFaults: Fault[] = [];
  readonly #kept = new Map<string, State>();
  #version = 100;
  #uids = 0;
  #objects = new Map<string, KubeObject>();
  #events: Event[] = [];
  #compacted = 100;
  #awayUntil = 0;
  #saved: State = { version: 100, objects: new Map() };

  /** Creates the object, or changes it. */
  write(name: string): KubeObject {
    const before = this.#objects.get(name);
    this.#uids += 1;
    const uid = before?.metadata.uid ?? `uid-${this.#uids}`;
    return this.#commit(before === undefined ? "ADDED" : "MODIFIED", name, uid);
  }

  remove(name: string): void {
    const before = this.#objects.get(name);
    if (before !== undefined) this.#commit("DELETED", name, before.metadata.uid);
  }

  /** What it holds, one line an object. */
  state(): readonly string[] {
    return [...this.#objects.values()].map(lineOf).sort();
  }

  failLists(...faults: readonly Fault[]): void {
    this.#listFaults.push(...faults);
  }

  failWatches(...faults: readonly Fault[]): void {
    this.#watchFaults.push(...faults);
  }

  /** Breaks nothing any more; what is stalled stays so. */
  heal(): void {
    this.#listFaults.length = 0;
    this.#watchFaults.length = 0;
    this.isDown = false;
    this.holdsWatchesBack = false;
  }

  /** Forgets its history, as after a compaction. */
  compact(): void {
    this.#events = [];
    this.#compacted = this.#version;
  }

  /** Keeps a backup of its state. */
  save(): void {
    this.#saved = { version: this.#version, objects: new Map(this.#objects) };
  }

  /** Comes back with the state of the backup, and with another history from there. */
  restore(): void {
    this.#version = this.#saved.version;
    this.#objects = new Map(this.#saved.objects);
    this.compact();
    this.#awayUntil = performance.now() + this.awayMs;
    for (const stream of [...this.streams]) stream.reset();
  }

  async list<T extends KubeObject>(target: Target, query: Query, bound: Bound): Promise<Page<T>> {
    const what = query.limit === "1" ? "Check" : query.continue === undefined ? "List" : "Page";
    this.asked.push({ what, at: performance.now(), tries: bound.tries });
    const fault = this.#faultOf(this.#listFaults);
    if (fault === "NoList") return { kind: "Status", metadata: {}, status: "Success" } as unknown as Page<T>;
    if (fault === "Nothing") return { metadata: {}, items: [] } as unknown as Page<T>;
    const [kept = "", from = "0"] = (query.continue ?? "").split("+");
    const state = this.#kept.get(kept) ?? (fault === "Old" ? this.#saved : this.#now());
    await this.#suffer(fault, target, { limitMs: bound.timeoutMs ?? 0, signal: bound.signal });
    return this.#pageOf(state, { from: Number(from), limit: Number(query.limit) }) as Page<T>;
  }

  async watch(target: Target, query: Query, bound: Bound & Readonly<{ openTimeoutMs: number }>): Promise<WatchBody> {
    this.asked.push({ what: "Watch", at: performance.now(), tries: bound.tries });
    await this.#suffer(this.#faultOf(this.#watchFaults), target, {
      limitMs: bound.openTimeoutMs,
      signal: bound.signal,
    });
    const stream = new Stream(Number(query.resourceVersion), bound.signal, () => this.streams.delete(stream));
    this.streams.add(stream);
    if (this.holdsWatchesBack) stream.stall();
    const endsInMs = Number(query.timeoutSeconds) * 1000;
    setTimeout(() => {
      if (this.sendsBookmarks) stream.tell(bookmarkOf(this.#version), this.#version);
    }, endsInMs - 2_000);
    if (this.endsWatches) setTimeout(() => stream.end(), endsInMs);
    if (stream.from < this.#compacted) stream.say(expired);
    for (const event of this.#events) stream.tell(event, event.version);
    return stream;
  }

  #commit(type: Event["type"], name: string, uid: string): KubeObject {
    this.#version += 3;
    const object = thing(name, uid, this.#version);
    if (type === "DELETED") this.#objects.delete(name);
    else this.#objects.set(name, object);
    const event = { type, version: this.#version, object };
    this.#events.push(event);
    for (const stream of this.streams) stream.tell(event, event.version);
    return object;
  }

  #now(): State {
    return { version: this.#version, objects: new Map(this.#objects) };
  }

  #pageOf(state: State, { from, limit }: Readonly<{ from: number; limit: number }>): unknown {
    const all = [...state.objects.values()];
    const metadata: { resourceVersion: string; continue?: string } = { resourceVersion: String(state.version) };
    if (from + limit < all.length) {
      const id = `kept-${this.#kept.size}`;
      this.#kept.set(id, state);
      metadata.continue = `${id}+${from + limit}`;
    }
    return { kind: "ThingList", metadata, items: all.slice(from, from + limit) };
  }

  #faultOf(faults: Fault[]): Fault | undefined {
    return this.isDown || performance.now() < this.#awayUntil ? "Refused" : faults.shift();
  }

  async #suffer(
    fault: Fault | undefined,
    target: Target,
    bound: Readonly<{ limitMs: number; signal: AbortSignal }>,
  ): Promise<void> {
    const attempted = { method: "GET", target };
    bound.signal.throwIfAborted();
    if (fault === "Refused")
      throw new NoAnswerError(attempted, Object.assign(new Error("no"), { code: "ECONNREFUSED" }));
    if (fault === "Error") throw new ApiError(attempted, { status: 500, reason: "InternalError", detail: "etcd" });
    if (fault === "TooMany") {
      throw new ApiError(attempted, { status: 429, reason: "TooManyRequests", detail: "busy", retryAfterMs: 5_000 });
    }
    if (fault !== "Stall" && fault !== "Slow") return;
    await new Promise<void>((resolve, reject) => {
      bound.signal.addEventListener("abort", () => reject(bound.signal.reason), { once: true });
      setTimeout(() => reject(new NoAnswerError(attempted, new Error("the time is over"))), bound.limitMs);
      if (fault === "Slow") setTimeout(resolve, this.slowMs);
    });
  }
}

/** An open watch, and what can be done to it. */
export class Stream implements AsyncIterable<Uint8Array> {
  readonly from: number;
  readonly #close: () => void;
  readonly #waiting: Uint8Array[] = [];
  #wake: () => void = () => undefined;
  #over: Readonly<{ error: Error | undefined }> | undefined;
  #isStalled = false;

  constructor(from: number, signal: AbortSignal, close: () => void) {
    this.from = from;
    this.#close = close;
    signal.addEventListener("abort", () => this.#finish(new Error("aborted")), { once: true });
  }

  /** Tells something of this version, where the watch has not been told of it. */
  tell(said: unknown, version: number): void {
    if (version > this.from) this.say(said);
  }

  say(said: unknown): void {
    this.#send(`${JSON.stringify(said)}\n`);
  }

  garble(): void {
    this.#send('{"type":"MOD\n');
  }

  truncate(): void {
    this.#send('{"type":"MOD');
    this.end();
  }

  /** Passes nothing on any more, not even its end. */
  stall(): void {
    this.#isStalled = true;
  }

  end(): void {
    if (!this.#isStalled) this.#finish(undefined);
  }

  reset(): void {
    if (!this.#isStalled) this.#finish(new Error("ECONNRESET"));
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    for (;;) {
      const chunk = this.#waiting.shift();
      if (chunk !== undefined) {
        yield chunk;
      } else if (this.#over !== undefined) {
        if (this.#over.error !== undefined) throw this.#over.error;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #send(text: string): void {
    if (this.#isStalled || this.#over !== undefined) return;
    this.#waiting.push(Buffer.from(text));
    this.#wake();
  }

  #finish(error: Error | undefined): void {
    this.#over ??= { error };
    this.#close();
    this.#wake();
  }
}

/** An object as one line, for comparing states. */
export function lineOf({ metadata: { name, uid, resourceVersion } }: KubeObject): string {
  return `${name} ${uid} ${resourceVersion}`;
}

/** An object of no server's, and a bookmark. */
export function thing(name: string, uid: string, version: number | string): KubeObject {
  return { kind: "Thing", metadata: { namespace: "n", name, uid, resourceVersion: String(version) } };
}

/** A bookmark of a version. */
export function bookmarkOf(version: number | string): unknown {
  return { type: "BOOKMARK", object: { kind: "Thing", metadata: { resourceVersion: String(version) } } };
}

const expired = {
  type: "ERROR",
  object: { kind: "Status", code: 410, reason: "Expired", message: "too old resource version" },
};
