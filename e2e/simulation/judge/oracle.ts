import type { Expected, ExpectedRun } from "./expected.ts";
import { expectedOf } from "./expected.ts";
import type { Event, Fact, FactOf, History } from "./history.ts";
import { World } from "./world.ts";

/** A promise that did not hold: which, when, and what was seen. */
export type Violation = Readonly<{ check: string; guards: string; atMs: number; what: string }>;

/** What came of a play. */
export type Judgement = Readonly<{
  violations: readonly Violation[];
  /** How often each check had something to look at. One that never has proves nothing. */
  evaluations: Readonly<Record<string, number>>;
}>;

/** One promise, and how a play is held against it. */
export type Check = Readonly<{
  id: string;
  /** The invariant that it guards. */
  guards: string;
  says: string;
  /** Says what it wants to hear of; nothing of it outlives the play. */
  begin: (inquiry: Inquiry) => void;
}>;

type Hear<E> = (event: E, world: World) => void;

/** One check's look at one play. */
export class Inquiry {
  readonly expected: Expected;
  readonly #listeners = new Map<Fact["kind"], Hear<Event>[]>();
  readonly #closing: ((world: World, endMs: number) => void)[] = [];
  readonly #found: { atMs: number; what: string }[] = [];
  #evaluations = 0;

  constructor(expected: Expected) {
    this.expected = expected;
  }

  /** How often a condition was looked at, and where it did not hold. */
  get outcome(): Readonly<{ evaluations: number; found: readonly Readonly<{ atMs: number; what: string }>[] }> {
    return { evaluations: this.#evaluations, found: this.#found };
  }

  /** Hears of the facts of one kind; the world is the one after the fact. */
  on<K extends Fact["kind"]>(kind: K, hear: Hear<Event<FactOf<K>>>): void {
    const listeners = this.#listeners.get(kind) ?? [];
    listeners.push((event, world) => {
      if (isOf(event, kind)) hear(event, world);
    });
    this.#listeners.set(kind, listeners);
  }

  /** Is asked once more when nothing follows. */
  atEnd(close: (world: World, endMs: number) => void): void {
    this.#closing.push(close);
  }

  /** Counts a look, and keeps what was seen where the condition does not hold. */
  expect(holds: boolean, atMs: number, what: () => string): void {
    this.#evaluations += 1;
    if (!holds) this.#found.push({ atMs, what: what() });
  }

  /** What the plan has of the run with this uid; undefined for runs that are none of it. */
  runOf(world: World, uid: string): ExpectedRun | undefined {
    const metadata = world.runs.get(uid)?.object.metadata;
    return metadata && expectedOf(this.expected, metadata.name, metadata.namespace ?? "");
  }

  /** For the oracle: a fact and the world after it. */
  hear(event: Event, world: World): void {
    for (const listener of this.#listeners.get(event.kind) ?? []) listener(event, world);
  }

  /** For the oracle: nothing follows. */
  close(world: World, endMs: number): void {
    for (const closing of this.#closing) closing(world, endMs);
  }
}

/** Holds a whole play against every promise. Pure: the same history gives the same judgement. */
export function judge({ events }: Pick<History, "events">, expected: Expected, checks: readonly Check[]): Judgement {
  const world = new World();
  const inquiries = checks.map((check) => ({ check, inquiry: new Inquiry(expected) }));
  for (const { check, inquiry } of inquiries) check.begin(inquiry);
  for (const event of events) {
    world.take(event);
    for (const { inquiry } of inquiries) inquiry.hear(event, world);
  }
  const endMs = events.at(-1)?.atMs ?? 0;
  for (const { inquiry } of inquiries) inquiry.close(world, endMs);
  const violations = inquiries.flatMap(({ check: { id, guards }, inquiry }) =>
    inquiry.outcome.found.map((found) => ({ check: id, guards, ...found })),
  );
  return {
    violations: violations.sort((a, b) => a.atMs - b.atMs),
    evaluations: Object.fromEntries(inquiries.map(({ check, inquiry }) => [check.id, inquiry.outcome.evaluations])),
  };
}

function isOf<K extends Fact["kind"]>(event: Event, kind: K): event is Event<FactOf<K>> {
  return event.kind === kind;
}
