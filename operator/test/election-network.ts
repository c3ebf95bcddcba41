import { ApiError, NoAnswerError } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import type { LeaderElectionOptions } from "../src/kubernetes/leader-election.ts";
import { leases } from "../src/kubernetes/lease-record.ts";
import type { ElectionProcess } from "./election-process.ts";
import type { ElectionWorld } from "./election-world.ts";
import { type LeaseEvent, ModelLease } from "./model-lease.ts";

/** The chances, of 1, that something befalls one request. */
export type Weather = Readonly<{
  /** It never reaches the server, and nothing is heard. */
  loseRequest: number;
  /** The server acts, and its answer is lost. */
  loseAnswer: number;
  /** It reaches the server when nobody waits for it any more. */
  late: number;
  /** There is no connection. */
  refuse: number;
  /** The server answers 429 or 500 and does nothing. */
  error: number;
  /** Watches stay open and say nothing. */
  silentWatches: boolean;
}>;

/** Nothing befalls a request. */
export const fairWeather: Weather = {
  loseRequest: 0,
  loseAnswer: 0,
  late: 0,
  refuse: 0,
  error: 0,
  silentWatches: false,
};

type Client = LeaderElectionOptions["client"];
type Bound = Parameters<Client["get"]>[1];
type Asked = Readonly<{ owner: ElectionProcess; method: "GET" | "WRITE" | "WATCH"; bound: Bound }>;

/** What lies between the processes and the server: all that is said takes a while, and some of it is lost. */
export class ElectionNetwork {
  weather = fairWeather;
  readonly lease: ModelLease;
  /** Writes that nobody was told of, and of those the ones that came when nobody waited for them any more. */
  readonly counts = { unheardWrites: 0, lateWrites: 0 };
  readonly #world: ElectionWorld;
  readonly #watches = new Set<WatchBody>();
  /** Requests that wait for an answer which will not come. */
  readonly #lost = new Set<() => void>();
  #healedAtMs = Number.NEGATIVE_INFINITY;

  constructor(world: ElectionWorld) {
    this.#world = world;
    this.lease = new ModelLease((event) => {
      for (const watch of this.#watches) this.#tell(watch, event);
    });
  }

  /** The client of one process. */
  clientOf(owner: ElectionProcess): Client {
    const write = (bound: Bound, act: () => KubeObject) => this.#ask({ owner, method: "WRITE", bound }, act);
    return {
      get: <T extends KubeObject>(_: unknown, bound: Bound) =>
        this.#ask({ owner, method: "GET", bound }, () => this.lease.get()) as Promise<T>,
      create: <T extends KubeObject>(_: unknown, object: unknown, bound: Bound) =>
        write(bound, () => this.lease.create(object as KubeObject)) as Promise<T>,
      mergePatch: <T extends KubeObject>(_: unknown, patch: unknown, bound: Bound) =>
        write(bound, () => this.lease.swap(patch as KubeObject)) as Promise<T>,
      watch: (_target, _query, { signal, openTimeoutMs }) =>
        this.#ask({ owner, method: "WATCH", bound: { signal, timeoutMs: openTimeoutMs } }, () =>
          this.#open(owner, signal),
        ),
    };
  }

  /** Ends all faults: connections that lost something are reset, and nothing comes late any more. */
  heal(): void {
    this.weather = fairWeather;
    this.#healedAtMs = this.#world.nowMs;
    for (const reset of this.#lost) reset();
    for (const watch of this.#watches) if (watch.isSilent) this.#world.at(10, watch.owner, () => watch.fail());
  }

  #ask<T>({ owner, method, bound }: Asked, act: () => T): Promise<T> {
    const attempted = { method, target: { resource: leases, namespace: "ns", name: "operator" } };
    owner.requests += 1;
    return new Promise<T>((resolve, reject) => {
      const giveUp = (why: string) => {
        this.#lost.delete(reset);
        clearTimeout(timer);
        reject(new NoAnswerError(attempted, new Error(why)));
      };
      const reset = () => void this.#world.at(10, owner, () => giveUp("reset"));
      const timer = setTimeout(() => giveUp("timeout"), bound.timeoutMs ?? 4_000);
      bound.signal.addEventListener("abort", () => giveUp("aborted"), { once: true });
      if (bound.signal.aborted) giveUp("aborted");
      else if (owner.isCutOff || this.#befalls("refuse")) this.#world.at(1, owner, () => giveUp("refused"));
      else if (this.#befalls("loseRequest")) this.#lost.add(reset);
      else {
        const isLate = this.#befalls("late");
        const isUnheard = isLate || this.#befalls("loseAnswer");
        if (isUnheard) this.#lost.add(reset);
        this.#deliver({ act: this.#befalls("error") ? () => this.#refuse(attempted) : act, isLate }, (answer) => {
          if (method === "WRITE" && isLate) this.counts.lateWrites += 1;
          if (method === "WRITE" && isUnheard) this.counts.unheardWrites += 1;
          if (isUnheard) return;
          this.#world.at(this.#travelMs(), owner, () => {
            clearTimeout(timer);
            if ("error" in answer) return reject(answer.error);
            if (method !== "WATCH") owner.shownUid = (answer.result as KubeObject).metadata.uid;
            resolve(answer.result);
          });
        });
      }
    });
  }

  /** Has the server act when the request has come there. */
  #deliver<T>(
    { act, isLate }: Readonly<{ act: () => T; isLate: boolean }>,
    then: (answer: Readonly<{ result: T }> | Readonly<{ error: unknown }>) => void,
  ): void {
    const sentAtMs = this.#world.nowMs;
    this.#world.at(isLate ? this.#world.random() * 20_000 : this.#travelMs(), null, () => {
      if (isLate && this.#healedAtMs >= sentAtMs) return;
      try {
        then({ result: act() });
      } catch (error) {
        then({ error });
      }
    });
  }

  #befalls(fault: "refuse" | "loseRequest" | "loseAnswer" | "late" | "error"): boolean {
    const chance = this.weather[fault];
    return chance > 0 && this.#world.random() < chance;
  }

  #travelMs(): number {
    return 1 + this.#world.random() * 40;
  }

  #refuse(attempted: ApiError["attempted"]): never {
    throw this.#world.random() < 0.5
      ? new ApiError(attempted, { status: 429, reason: "TooManyRequests", detail: "busy", retryAfterMs: 1_000 })
      : new ApiError(attempted, { status: 500, reason: "InternalError", detail: "etcd is away" });
  }

  #open(owner: ElectionProcess, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const watch = new WatchBody(owner, signal, () => this.#watches.delete(watch));
    this.#watches.add(watch);
    const { first } = this.lease;
    if (first !== undefined) this.#tell(watch, first);
    return watch;
  }

  #tell(watch: WatchBody, event: LeaseEvent): void {
    watch.isSilent ||= this.weather.silentWatches || watch.owner.isCutOff;
    if (watch.isSilent) return;
    const now = this.#world.nowMs;
    watch.lastAtMs = Math.max(now + this.#travelMs(), watch.lastAtMs);
    this.#world.at(watch.lastAtMs - now, watch.owner, () => {
      watch.owner.shownUid = event.object.metadata.uid;
      watch.push(event);
    });
  }
}

/** The body of an open watch. */
class WatchBody implements AsyncIterable<Uint8Array> {
  readonly owner: ElectionProcess;
  isSilent = false;
  lastAtMs = 0;
  readonly #chunks: Uint8Array[] = [];
  readonly #close: () => void;
  #waiting: { resolve: (next: IteratorResult<Uint8Array>) => void; reject: (error: unknown) => void } | undefined;
  #error: unknown;

  constructor(owner: ElectionProcess, signal: AbortSignal, close: () => void) {
    this.owner = owner;
    this.#close = close;
    signal.addEventListener("abort", () => this.fail(), { once: true });
  }

  push(event: unknown): void {
    this.#chunks.push(Buffer.from(`${JSON.stringify(event)}\n`));
    this.#settle();
  }

  fail(): void {
    this.#close();
    this.#error = new Error("the watch was cut");
    this.#settle();
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return {
      next: () =>
        new Promise((resolve, reject) => {
          this.#waiting = { resolve, reject };
          this.#settle();
        }),
      return: () => Promise.resolve({ done: true, value: undefined }),
    };
  }

  #settle(): void {
    const waiting = this.#waiting;
    const chunk = waiting === undefined ? undefined : this.#chunks.shift();
    if (waiting === undefined || (chunk === undefined && this.#error === undefined)) return;
    this.#waiting = undefined;
    if (chunk === undefined) waiting.reject(this.#error);
    else waiting.resolve({ done: false, value: chunk });
  }
}
