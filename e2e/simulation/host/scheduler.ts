import { Chance, type Row } from "./chance.ts";
import { EventHeap } from "./event-heap.ts";
import { runWithin, SimProcess } from "./process.ts";
import { Trace } from "./trace.ts";

/**
 * What an event is. Work comes at equal instants in an order that the seed draws. Timers of one process keep the order in which
 * they were set, as Node promises; the processes among each other do not. Background is a timer that nobody waits for
 * (unref, deadlines): it fires, but does not count as something left to do.
 */
export type EventKind = "work" | "timer" | "background";

/** Something that will happen to a process at an instant. */
export type SimEvent = {
  readonly process: SimProcess;
  readonly run: () => void;
  at: number;
  /** Orders events of one instant; the sequence orders those of one tie. */
  tie: number;
  sequence: number;
  kind: EventKind;
  state: "waiting" | "parked" | "done";
};

/** How a simulation is set up. */
export type SchedulerOptions = Readonly<{
  seed: number | string;
  /** What the true wall clock shows at virtual time 0. */
  epochMs?: number;
  noise?: Noise;
  trace?: Trace;
  /** Whether errors know where they were made. Those that are expected are many, and most of their cost is that. */
  stacks?: "Kept" | "Omitted";
}>;

/** How often a call of the outside takes a while, and how long at most. */
export type Noise = Readonly<{ share: number; longestMs: number }>;

/** The simulation cannot go on, or what it shows would not be true: a defect of the code played, of a model or of the host. */
export class SimulationError extends Error {
  override readonly name = "SimulationError";
}

/**
 * Virtual time: a heap of events, of which one at a time happens within its process. After each, Node empties its queues
 * of ticks and microtasks before the next is looked at, so time never advances while code can run.
 */
export class Scheduler {
  readonly chance: Chance;
  readonly trace: Trace;
  readonly epochMs: number;
  readonly noise: Noise;
  readonly #stacks: "Kept" | "Omitted";
  /** The process of the models and of the plan, which are not part of any machine. */
  readonly world: SimProcess;
  readonly #heap = new EventHeap();
  readonly #parked = new Map<SimProcess, SimEvent[]>();
  readonly #uses = new Map<string, number>();
  readonly #ties = new Map<SimProcess, Ties>();
  #now = 0;
  #sequence = 0;
  #work = 0;
  #turn: SimProcess | null = null;
  #calls = 0;
  #failure: SimulationError | null = null;

  constructor({ seed, epochMs = Date.UTC(2026, 0, 5), noise = { share: 0, longestMs: 0 }, ...rest }: SchedulerOptions) {
    this.chance = new Chance(seed);
    this.trace = rest.trace ?? new Trace();
    this.#stacks = rest.stacks ?? "Kept";
    this.epochMs = epochMs;
    this.noise = noise;
    this.world = new SimProcess(this, { name: "world" });
  }

  /** Virtual milliseconds since the start; never falls. */
  get now(): number {
    return this.#now;
  }

  /** Events to come that somebody waits for, those of processes that stand still included. */
  get workLeft(): number {
    return this.#work;
  }

  /** Lets something happen to a process after a while, as the process's own code. Nothing where it is dead. */
  after(process: SimProcess, delayMs: number, run: () => void, kind: EventKind = "work"): SimEvent {
    if (!(delayMs >= 0 && delayMs < Number.POSITIVE_INFINITY)) {
      throw new RangeError(`Cannot schedule an event because its delay is no time to come: ${delayMs} ms`);
    }
    const event: SimEvent = { process, run, at: this.#now + delayMs, tie: 0, sequence: 0, kind, state: "waiting" };
    this.#count(process);
    if (process.state === "dead") {
      event.state = "done";
      return event;
    }
    event.tie = kind === "work" ? this.#workTie(process) : this.#timerTie(event);
    if (kind !== "background") this.#work += 1;
    this.#push(event);
    return event;
  }

  /** Takes an event back; nothing where it has happened. */
  cancel(event: SimEvent): void {
    if (event.state === "done") return;
    event.state = "done";
    if (event.kind !== "background") this.#work -= 1;
  }

  /** Makes an event count as something left to do, or not. */
  setKind(event: SimEvent, kind: "timer" | "background"): void {
    if (event.state !== "done") this.#work += (kind === "background" ? 0 : 1) - (event.kind === "background" ? 0 : 1);
    event.kind = kind;
  }

  /** Lets the next event happen and everything that follows from it at once; false when none is left. Throws when the play is spoilt. */
  async step(): Promise<boolean> {
    if (!this.#beginNext(Number.POSITIVE_INFINITY)) return false;
    await new Promise<void>((resolve) => void nextRound(resolve));
    this.#conclude();
    return true;
  }

  /**
   * Steps until the condition holds, and says whether it came to; stops at the instant, or when nothing is to come.
   *
   * Node does ticks and microtasks before each callback of `setImmediate`, those of one round included. A round of its
   * loop for every event would cost more than most events do, so many turns are taken in one.
   */
  stepUntil(holds: () => boolean, { untilMs }: { untilMs: number }): Promise<boolean> {
    const { stackTraceLimit } = Error;
    if (this.#stacks === "Omitted") Error.stackTraceLimit = 0;
    const stepped = new Promise<boolean>((resolve, reject) => {
      let settle: (() => void) | null = null;
      const turn = () => {
        if (settle !== null) return;
        try {
          this.#conclude();
          const came = holds() || (this.#beginNext(untilMs) ? null : false);
          if (came !== null) settle = () => resolve(came);
        } catch (error) {
          settle = () => reject(error);
        }
      };
      const round = () => {
        if (settle !== null) return settle();
        for (let turns = 0; turns < turnsInRound; turns += 1) nextRound(turn);
        nextRound(round);
      };
      round();
    });
    return stepped.finally(() => {
      Error.stackTraceLimit = stackTraceLimit;
    });
  }

  /** Ends the play: what a process does cannot be trusted any more. The process stops where it is. */
  spoil(process: SimProcess, error: SimulationError): void {
    this.#failure ??= error;
    process.kill(error.message);
  }

  /** For the process itself: how often its name was used before. */
  countUseOf(name: string): number {
    const uses = this.#uses.get(name) ?? 0;
    this.#uses.set(name, uses + 1);
    return uses;
  }

  /** For the process itself: what came while it stood still happens now. */
  unpark(process: SimProcess): void {
    const events = this.#parked.get(process) ?? [];
    this.#parked.delete(process);
    for (const event of events) {
      if (event.state === "done") continue;
      event.at = this.#now;
      event.state = "waiting";
      event.tie = this.#timerTie(event);
      this.#push(event);
    }
  }

  /** For the process itself: nothing happens to it any more. */
  forget(process: SimProcess): void {
    for (const event of this.#heap.remove((candidate) => candidate.process === process)) this.cancel(event);
    for (const event of this.#parked.get(process) ?? []) this.cancel(event);
    this.#parked.delete(process);
    this.#ties.delete(process);
  }

  /** For replaced functions: the process asks something of the outside. */
  meet(process: SimProcess): void {
    this.#count(process);
    if (this.#turn !== process) {
      const turn = this.#turn === null ? "nobody's" : `${this.#turn.key}'s`;
      const error = `Cannot let ${process.key} act because it is ${turn} turn: something reached it without an event`;
      this.spoil(process, new SimulationError(error));
    }
  }

  /** Begins the next event up to the instant, if there is one; those of processes that stand still are put aside. */
  #beginNext(untilMs: number): boolean {
    for (;;) {
      const at = this.#heap.nextAt();
      if (at !== undefined) this.#advance(Math.min(at, untilMs));
      const event = at === undefined || at > untilMs ? undefined : this.#heap.pop();
      if (event === undefined) return false;
      if (event.process.state !== "paused") {
        this.#begin(event);
        return true;
      }
      event.state = "parked";
      const parked = this.#parked.get(event.process);
      if (parked === undefined) this.#parked.set(event.process, [event]);
      else parked.push(event);
    }
  }

  #begin(event: SimEvent): void {
    event.state = "done";
    if (event.kind !== "background") this.#work -= 1;
    this.trace.note(this.#now, event.process.key, event.kind);
    this.#turn = event.process;
    try {
      runWithin(event.process, event.run);
    } catch (cause) {
      const message = `Cannot go on because ${event.process.key} threw out of an event: ${String(cause)}`;
      this.spoil(event.process, new SimulationError(message, { cause }));
    }
  }

  /** Ends the turn of an event, once nothing can run any more that followed from it. */
  #conclude(): void {
    this.#turn = null;
    if (this.#failure !== null) throw this.#failure;
  }

  /** Code that waits for nothing would let time stand still: no instant of a correct play has so many calls and events. */
  #count(process: SimProcess): void {
    this.#calls += 1;
    if (this.#calls !== callsPerInstant) return;
    const error = `Cannot go on because time stands still: ${callsPerInstant} calls at ${this.#now} ms, now by ${process.key}`;
    this.spoil(process, new SimulationError(error));
  }

  #advance(at: number): void {
    if (at <= this.#now) return;
    this.#now = at;
    this.#calls = 0;
  }

  #push(event: SimEvent): void {
    this.#sequence += 1;
    event.sequence = this.#sequence;
    this.#heap.push(event);
  }

  #workTie(process: SimProcess): number {
    return this.#tiesOf(process).work.next();
  }

  /** One for all timers of a process at an instant: the sequence keeps their order. */
  #timerTie({ process, at }: SimEvent): number {
    return this.#tiesOf(process).timer.at(at);
  }

  #tiesOf(process: SimProcess): Ties {
    const known = this.#ties.get(process);
    if (known !== undefined) return known;
    const { key } = process;
    const ties = { work: this.chance.row("work", key), timer: this.chance.row("timer", key) };
    this.#ties.set(process, ties);
    return ties;
  }
}

/** What a process's events of one instant are ordered by. */
type Ties = Readonly<{ work: Row; timer: Row }>;

const callsPerInstant = 200_000;
const turnsInRound = 64;

const { setImmediate: nextRound } = globalThis;
