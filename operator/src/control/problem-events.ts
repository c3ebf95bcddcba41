import { Allowance } from "../kubernetes/allowance.ts";
import { ApiError } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound, Query } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { events } from "../kubernetes/resource.ts";
import { within } from "../kubernetes/within.ts";
import type { Log } from "./log.ts";

export type ProblemEventsOptions = Readonly<{
  client: ApiClient;
  log: Log;
  /** Milliseconds of a clock that nobody sets. */
  now: () => number;
}>;

/** What an event says, of what, and when it said so last. */
export type Told = KubeObject &
  Readonly<{
    type?: string;
    note?: string;
    regarding?: { name?: string };
    eventTime?: string | null;
    deprecatedLastTimestamp?: string | null;
    series?: { lastObservedTime?: string };
  }>;

/** Nothing is read of one thing again before that. */
export const rereadMs = 15_000;

/**
 * Events, read sparingly: for each read the API server looks through all that the namespace has, and a pass waits for it
 * that could do something for another run meanwhile. So a namespace has ten reads at once and then one a second. One that
 * is full, so that a read takes long, is left alone for a while, and others are read one at a time meanwhile: it may be the
 * server that is slow. Where that is in trouble, nothing at all is read for a while.
 */
export class ProblemEvents {
  readonly #options: ProblemEventsOptions;
  readonly #reads = new Allowance({ burst: 10, refillMs: 1_000, mostThings: 1_024 });
  /** When reads may begin again: all of them, several at a time, and those of one namespace. */
  #restsUntil = Number.NEGATIVE_INFINITY;
  #singlyUntil = Number.NEGATIVE_INFINITY;
  readonly #restsIn = new Map<string, number>();
  #underWay = 0;
  #saidSo = false;

  constructor(options: ProblemEventsOptions) {
    this.#options = options;
  }

  /** Whether it is anybody's turn to read in the namespace. Where it is, that is the turn. */
  takeTurn(namespace = ""): boolean {
    const now = this.#options.now();
    if (now < this.#restsUntil || now < (this.#restsIn.get(namespace) ?? now)) return false;
    return (this.#underWay === 0 || now >= this.#singlyUntil) && this.#reads.take(namespace, now);
  }

  /**
   * The events chosen, the newest last, as far as they came: a queue says something of every pod that waits in it, on many
   * pages. Undefined where none could be read, which is said once until it works again, and where the caller has left.
   */
  async read(namespace: string | undefined, query: Query, { signal }: Bound): Promise<readonly Told[] | undefined> {
    const told: Told[] = [];
    const { now } = this.#options;
    const beganAt = now();
    this.#underWay += 1;
    try {
      await within(patienceMs, signal, (limited) => this.#addPages(told, { namespace, query }, limited));
      this.#saidSo = false;
    } catch (error) {
      if (signal.aborted) return undefined;
      this.#say(error);
      if (!isNamespaces(error, told)) this.#restsUntil = now() + rereadMs;
      if (told.length === 0) return undefined;
    } finally {
      this.#underWay -= 1;
      if (now() - beganAt >= slowMs) this.#restIn(namespace);
    }
    return told.toSorted((a, b) => timeOf(a) - timeOf(b));
  }

  async #addPages(told: Told[], { namespace, query }: Asked, signal: AbortSignal): Promise<void> {
    // The next pass repeats it.
    const bound = { signal, purpose: "Work", tries: 1 } as const;
    let next: string | undefined;
    for (let pages = 0; pages < mostPages; pages += 1) {
      const from = next === undefined ? query : { ...query, continue: next };
      const page = await this.#options.client.list<Told>({ resource: events, namespace }, from, bound);
      told.push(...page.items);
      next = page.metadata.continue;
      if (!next) return;
    }
  }

  #restIn(namespace = ""): void {
    const now = this.#options.now();
    for (const [name, until] of this.#restsIn) if (until <= now) this.#restsIn.delete(name);
    this.#restsIn.set(namespace, now + rereadMs);
    this.#singlyUntil = now + rereadMs;
  }

  #say(error: unknown): void {
    const unknown = "why a claim does not bind, or a pod is not started, is not told";
    if (!this.#saidSo) this.#options.log("warn", `events cannot be read: ${unknown}`, { error });
    this.#saidSo = true;
  }
}

type Asked = Readonly<{ namespace: string | undefined; query: Query }>;

/** A pass does not wait longer for a diagnosis. */
const patienceMs = 2_000;
/** Nor would it, more often than now and then, for one that takes so long. */
const slowMs = 500;
/** More would take longer than is waited. */
const mostPages = 20;

/**
 * What is not to be had in one namespace, by our rights say, may be in another; and a server that gave some pages of it is
 * well, however long the rest would take.
 */
function isNamespaces(error: unknown, told: readonly Told[]): boolean {
  return error instanceof ApiError ? error.status < 500 && error.status !== 429 : told.length > 0;
}

function timeOf(event: Told): number {
  const time = event.series?.lastObservedTime ?? event.deprecatedLastTimestamp ?? event.eventTime;
  return Date.parse(time ?? event.metadata.creationTimestamp ?? "") || 0;
}
