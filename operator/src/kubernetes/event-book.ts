import { Allowance } from "./allowance.ts";
import { type Counted, eventName, namespaceOf, type Told } from "./event-manifest.ts";

// What becomes of one thing told about one object. The same words again are counted, never told twice.
//
//                  told, and the object's                    told again;
//                  allowance has room             created    the count written
//   ┌─────────┐ ─────────────────────► ┌─────────┐ ───► ┌────────┐ ───► ┌────────┐ ──┐ told again: counted, and
//   │ Unknown │                        │ Waiting │      │ Single │      │ Series │   │ written twice a minute
//   └─────────┘                        └─────────┘ ◄─── └────────┘ ◄─── └────────┘ ◄─┘ at most
//     ▲     │ told, and the              ▲   │    the server has           │
//     │     │ allowance is used up       │   │    forgotten the event      │ quiet for six minutes:
//     │     ▼                            │   │ refused, or                 │ the last count is written,
//     │   ┌──────┐   allowed again       │   │ tried too often             │ if it is not yet
//     │   │ Held │ ──────────────────────┘   ▼                             ▼ (a Single as well)
//     │   └──────┘ ◄─┐                     ┌────────────────────────────────┐
//     │      └───────┘ told again, in      │             Closed             │
//     │        other words of the same     └────────────────────────────────┘
//     │        reason: the newest stay            │
//     └───────────────────────────────────────────┘
//
// Every write about an object takes from its allowance, but for a last count, which its event's creation has paid for.

/** An instant on both clocks: durations are measured on the one, the other is told to people. */
export type Instant = Readonly<{ monotonicMs: number; wallMs: number }>;

/** One write that is due. */
export type EventWrite = Readonly<{
  kind: "Create" | "Count";
  namespace: string;
  name: string;
  told: Told;
  counted: Counted;
  entry: Entry;
}>;

/** What is to be done now: a write, or nothing before an instant of the monotonic clock, or nothing at all. */
export type NextEvent = Readonly<{ kind: "Write"; write: EventWrite }> | Readonly<{ kind: "Wait"; untilMs?: number }>;

/** How a write went. `Gone`: the event is not there any more. `Again`: nobody knows, or the server was not able. */
export type EventOutcome = "Done" | "Gone" | "Refused" | "Again";

/** Why something told never came to stand in an event. */
export type DropReason = "QueueFull" | "Refused" | "GivenUp" | "Stopping";

/** What was told and does not stand, and how often it was told. */
export type Dropped = Readonly<{ why: DropReason; told: Told; times: number }>;

/** What should stand in events, and what does. Decides what to write next; writes nothing, waits for nothing. */
export class EventBook {
  readonly #instance: string;
  readonly #allowance = new Allowance({ burst: 25, refillMs: 5 * 60_000, mostThings: 8192 });
  /** By object and words; the one told longest ago first. */
  readonly #open = new Map<string, Entry>();
  readonly #waiting = new Set<Entry>();
  /** By object and reason. */
  readonly #held = new Map<string, Entry>();
  /** Single ones and series of which more was told than is written. */
  readonly #uncounted = new Set<Entry>();
  #drawn = 0;

  constructor(instance: string) {
    this.#instance = instance;
  }

  /** Takes in what was told; returns it where there is no room. */
  tell(told: Told, now: Instant): Dropped | undefined {
    const words = wordsOf(told);
    const known = this.#open.get(words);
    if (known !== undefined && !isQuiet(known, now)) {
      this.#again(known, told, now);
      // Told last, so it comes last.
      this.#open.delete(words);
      this.#open.set(words, known);
      return undefined;
    }
    if (known !== undefined) this.#close(known);
    const held = this.#held.get(reasonOf(told));
    if (held !== undefined) {
      this.#again(held, told, now);
      return undefined;
    }
    if (this.backlog >= mostBacklog) return { why: "QueueFull", told, times: 1 };
    this.#begin(told, now);
    return undefined;
  }

  /** What is due now. What it gives out is not given out again before it is settled. */
  next(now: Instant): NextEvent {
    this.#forgetQuiet(now);
    for (const entry of this.#held.values()) {
      if (this.#allowance.take(entry.told.regarding.uid, now.monotonicMs)) this.#release(entry);
    }
    const write = this.#create() ?? this.#count((entry) => this.#isCountDue(entry, now));
    if (write !== undefined) return { kind: "Write", write };
    const dueAt = [
      ...[...this.#held.values()].map(({ told }) => this.#allowance.nextAt(told.regarding.uid, now.monotonicMs)),
      ...[...this.#uncounted].filter(({ isUnderWay }) => !isUnderWay).map((entry) => this.#countDueAt(entry, now)),
    ];
    return dueAt.length === 0 ? { kind: "Wait" } : { kind: "Wait", untilMs: Math.min(...dueAt) };
  }

  /** What is left to write before the end, whatever the allowances and the time say. */
  last(): EventWrite | undefined {
    for (const entry of this.#held.values()) this.#release(entry);
    return this.#create() ?? this.#count(() => true);
  }

  /** Takes in how a write went; returns what was lost by it. */
  settle(write: EventWrite, outcome: EventOutcome, now: Instant): Dropped | undefined {
    const { entry } = write;
    entry.isUnderWay = false;
    if (outcome === "Done") {
      this.#written(write, now);
      return undefined;
    }
    entry.tries += 1;
    const hasNoPlace = outcome === "Gone" && write.kind === "Create";
    if (outcome === "Refused" || hasNoPlace || entry.tries >= mostTries) {
      this.#forget(entry);
      const why = outcome === "Again" ? "GivenUp" : "Refused";
      return { why, told: entry.told, times: entry.count - entry.writtenCount };
    }
    this.#uncounted.delete(entry);
    this.#waiting.delete(entry);
    if (outcome === "Gone") entry.writtenCount = 0;
    // Last in its row: one that the server cannot take must not keep the others back.
    (entry.writtenCount === 0 ? this.#waiting : this.#uncounted).add(entry);
    return undefined;
  }

  /** Gives up what no event stands for yet; returns it. */
  abandon(): readonly Dropped[] {
    const left = [...this.#waiting, ...this.#held.values()];
    for (const entry of left) this.#forget(entry);
    return left.map(({ told, count }): Dropped => ({ why: "Stopping", told, times: count }));
  }

  /** How many things told have no event yet. */
  get backlog(): number {
    return this.#waiting.size + this.#held.size;
  }

  #begin(told: Told, now: Instant): void {
    this.#drawn += 1;
    const { uid } = told.regarding;
    const entry: Entry = {
      name: eventName(told, [this.#instance, now.wallMs, this.#drawn, wordsOf(told)]),
      told,
      count: 1,
      words: 1,
      firstAt: now.wallMs,
      lastAt: now.wallMs,
      toldAt: now.monotonicMs,
      writtenCount: 0,
      writtenAt: now.monotonicMs,
      tries: 0,
      isUnderWay: false,
      isClosed: false,
    };
    if (this.#allowance.take(uid, now.monotonicMs)) this.#wait(entry);
    else this.#held.set(reasonOf(told), entry);
  }

  #again(entry: Entry, told: Told, now: Instant): void {
    if (entry.told.note !== told.note) entry.words += 1;
    entry.told = told;
    entry.count += 1;
    entry.lastAt = now.wallMs;
    entry.toldAt = now.monotonicMs;
    if (entry.writtenCount > 0) this.#uncounted.add(entry);
  }

  #release(entry: Entry): void {
    this.#held.delete(reasonOf(entry.told));
    this.#wait(entry);
  }

  #wait(entry: Entry): void {
    this.#makeRoom();
    this.#open.set(wordsOf(entry.told), entry);
    this.#waiting.add(entry);
  }

  #create(): EventWrite | undefined {
    const entry = [...this.#waiting].find(({ isUnderWay }) => !isUnderWay);
    return entry === undefined ? undefined : writeOf("Create", entry);
  }

  #count(isDue: (entry: Entry) => boolean): EventWrite | undefined {
    const entry = [...this.#uncounted].find((one) => !one.isUnderWay && isDue(one));
    return entry === undefined ? undefined : writeOf("Count", entry);
  }

  #isCountDue(entry: Entry, now: Instant): boolean {
    if (entry.isClosed || isQuiet(entry, now)) return true;
    return dueAtOf(entry) <= now.monotonicMs && this.#allowance.take(entry.told.regarding.uid, now.monotonicMs);
  }

  #countDueAt(entry: Entry, now: Instant): number {
    const allowedAt = this.#allowance.nextAt(entry.told.regarding.uid, now.monotonicMs);
    return Math.min(Math.max(dueAtOf(entry), allowedAt), entry.toldAt + quietMs);
  }

  #written(write: EventWrite, now: Instant): void {
    const { entry } = write;
    entry.writtenCount = write.counted.count;
    entry.writtenAt = now.monotonicMs;
    entry.tries = 0;
    this.#waiting.delete(entry);
    this.#uncounted.delete(entry);
    if (entry.count > entry.writtenCount) this.#uncounted.add(entry);
  }

  /** No more is counted into it; what is counted and not written is written once. */
  #close(entry: Entry): void {
    entry.isClosed = true;
    const words = wordsOf(entry.told);
    if (this.#open.get(words) === entry) this.#open.delete(words);
  }

  #forget(entry: Entry): void {
    this.#close(entry);
    this.#waiting.delete(entry);
    this.#uncounted.delete(entry);
    const reason = reasonOf(entry.told);
    if (this.#held.get(reason) === entry) this.#held.delete(reason);
  }

  #forgetQuiet(now: Instant): void {
    for (const entry of this.#open.values()) {
      if (!isQuiet(entry, now)) return;
      if (entry.writtenCount > 0) this.#close(entry);
    }
  }

  #makeRoom(): void {
    if (this.#open.size < mostOpen) return;
    for (const entry of this.#open.values()) {
      if (entry.writtenCount === 0) continue;
      this.#close(entry);
      return;
    }
  }
}

/** One event to be, or that is. Written by the book alone. */
type Entry = {
  readonly name: string;
  told: Told;
  count: number;
  /** How many different words were told under it; more than one only where they were held. */
  words: number;
  readonly firstAt: number;
  lastAt: number;
  /** When it was told last, on the monotonic clock. */
  toldAt: number;
  /** 0 where the event does not stand. */
  writtenCount: number;
  writtenAt: number;
  tries: number;
  isUnderWay: boolean;
  isClosed: boolean;
};

const quietMs = 6 * 60_000;
const countEveryMs = 30_000;
const mostBacklog = 1024;
const mostOpen = 4096;
const mostTries = 12;

function writeOf(kind: EventWrite["kind"], entry: Entry): EventWrite {
  entry.isUnderWay = true;
  const { told, name, count, firstAt, lastAt, words } = entry;
  const note = words > 1 ? `(newest of ${count} alike) ${told.note}` : told.note;
  const counted = { count, firstAt, lastAt };
  return { kind, namespace: namespaceOf(told), name, told: { ...told, note }, counted, entry };
}

/** The first repeat is written at once, so that one sees a series; later ones now and then. */
function dueAtOf(entry: Entry): number {
  return entry.writtenCount === 1 ? entry.writtenAt : entry.writtenAt + countEveryMs;
}

function isQuiet(entry: Entry, now: Instant): boolean {
  return now.monotonicMs - entry.toldAt >= quietMs;
}

function reasonOf({ regarding, type, reason, action }: Told): string {
  return JSON.stringify([regarding.uid, type, reason, action]);
}

function wordsOf(told: Told): string {
  return `${reasonOf(told)} ${told.note}`;
}
