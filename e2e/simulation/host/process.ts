import { AsyncLocalStorage } from "node:async_hooks";
import type { Row } from "./chance.ts";
import type { Scheduler } from "./scheduler.ts";

//             start                    pause
//   (new) ───────────► running ◄───────────────► paused
//                         │             thaw        │
//                         └──► dead ◄── kill ───────┘
//             main settled, kill

/** How a process came to its end. */
export type Ending =
  | Readonly<{ kind: "returned"; value: unknown }>
  | Readonly<{ kind: "threw"; error: unknown }>
  | Readonly<{ kind: "killed"; why: string }>;

/** What tells a process from the others on the simulated host. */
export type ProcessOptions = Readonly<{
  /** Who it is, in the trace and in draws; a name that was used before gets a new ordinal, and new draws. */
  name: string;
  /** As a container sees it: 1 by default, so that processes of several pods share it as they do in life. */
  pid?: number;
  hostname?: string;
  /** How far its wall clock is ahead of the true time. */
  skewMs?: number;
}>;

/**
 * One process of the simulated host: the code that runs within its asynchronous context. Whatever it asks of Node (time,
 * randomness, files, sockets) is answered for it alone, and once it is dead nothing that it waits for ever settles.
 * Its code runs only within events of its own; who has something for it schedules such an event.
 */
export class SimProcess {
  readonly scheduler: Scheduler;
  readonly name: string;
  /** The name with the ordinal of this use of it: unique within a simulation. */
  readonly key: string;
  readonly pid: number;
  readonly hostname: string;
  /** How far its wall clock is ahead of the true time; a change is a step of the clock. */
  skewMs: number;
  /** When it was made, in virtual milliseconds: its `performance.now()` counts from here. */
  readonly madeAt: number;
  readonly #stop = new AbortController();
  readonly #atEnd = new Set<(ending: Ending) => void>();
  readonly #rows = new Map<string, Row>();
  readonly #output: string[] = [];
  #isPaused = false;
  #ending: Ending | null = null;

  constructor(scheduler: Scheduler, { name, pid = 1, hostname = name, skewMs = 0 }: ProcessOptions) {
    this.scheduler = scheduler;
    this.name = name;
    this.key = `${name}#${scheduler.countUseOf(name)}`;
    this.pid = pid;
    this.hostname = hostname;
    this.skewMs = skewMs;
    this.madeAt = scheduler.now;
  }

  /** Whether it runs, stands still with all that comes for it, or is gone. */
  get state(): "running" | "paused" | "dead" {
    if (this.#ending !== null) return "dead";
    return this.#isPaused ? "paused" : "running";
  }

  /** Aborted within the process when SIGTERM reaches it. */
  get stop(): AbortSignal {
    return this.#stop.signal;
  }

  /** Its last lines on the console, oldest first. */
  get output(): readonly string[] {
    return this.#output;
  }

  /** Runs the program as an event of its own; the process ends when the program settles. */
  start(main: () => Promise<unknown>): void {
    this.scheduler.after(this, 0, () => {
      main().then(
        (value) => this.#end({ kind: "returned", value }),
        (error: unknown) => this.#end({ kind: "threw", error }),
      );
    });
  }

  /** Calls back, in whatever context ends the process, once it is dead, or at once; returns how to take that back. */
  atEnd(run: (ending: Ending) => void): () => void {
    if (this.#ending === null) this.#atEnd.add(run);
    else run(this.#ending);
    return () => void this.#atEnd.delete(run);
  }

  /** SIGTERM: an event of the process that aborts {@link stop}; parked while it stands still. */
  terminate(): void {
    this.scheduler.after(this, 0, () => this.#stop.abort());
  }

  /** SIGKILL, the end of memory, the loss of the node: no line of it runs any more. */
  kill(why: string): void {
    this.#end({ kind: "killed", why });
  }

  /** SIGSTOP, or a node that stands still: what comes for the process from now on waits, and so does its own time. */
  pause(): void {
    if (this.state !== "running") return;
    this.#isPaused = true;
    this.note("paused");
  }

  /** All that came meanwhile happens now, in its order; the clocks have gone on. */
  thaw(): void {
    if (this.state !== "paused") return;
    this.#isPaused = false;
    this.note("thawed");
    this.scheduler.unpark(this);
  }

  /** Resolves by an event of this process after a while; never, once it is dead. */
  later(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.scheduler.after(this, delayMs, resolve));
  }

  /** The pause that the seed puts before some calls of the outside; mostly none, which is undefined and costs no event. */
  hesitate(what: string): Promise<void> | undefined {
    const { share, longestMs } = this.scheduler.noise;
    if (share === 0) return undefined;
    const row = this.row(`noise ${what}`);
    return row.hits(share) ? this.later(row.next() * longestMs) : undefined;
  }

  /** The process's own draws of a stream, each row going on where it stopped. */
  row(stream: string): Row {
    const known = this.#rows.get(stream);
    if (known !== undefined) return known;
    const row = this.scheduler.chance.row(stream, this.key);
    this.#rows.set(stream, row);
    return row;
  }

  /** Writes into the trace what this process does or what happens to it. */
  note(what: string): void {
    this.scheduler.trace.note(this.scheduler.now, this.key, what);
  }

  /** Takes a line of its console. */
  print(line: string): void {
    this.note(`says ${line}`);
    this.#output.push(line);
    if (this.#output.length > 2 * keptLines) this.#output.splice(0, keptLines);
  }

  #end(ending: Ending): void {
    if (this.#ending !== null) return;
    this.#ending = ending;
    this.note(ending.kind === "killed" ? `killed: ${ending.why}` : ending.kind);
    this.scheduler.forget(this);
    for (const run of this.#atEnd) run(ending);
    this.#atEnd.clear();
  }
}

const keptLines = 100;
const storage = new AsyncLocalStorage<SimProcess>();

/** Runs code as the process's own; everything that it begins belongs to the process. */
export function runWithin(process: SimProcess, run: () => void): void {
  storage.run(process, run);
}

/** Runs code as the host's own, such as what Node's loader does for a process that imports something. */
export function runOutside<T>(run: () => T): T {
  return storage.exit(run);
}

/**
 * The process whose code is calling, for a replaced function of Node; undefined for the host's own code, which gets the
 * real function. Counts the call and checks that it is the process's turn: a call outside it is a leak of real time.
 */
export function actingProcess(): SimProcess | undefined {
  const process = storage.getStore();
  if (process !== undefined && process.state !== "dead") process.scheduler.meet(process);
  return process;
}

/** The process whose code is running, without counting it as a call. */
export function presentProcess(): SimProcess | undefined {
  return storage.getStore();
}

/** What a dead process waits for. A new promise each time: one for all would keep every waiter in memory. */
export function unending<T>(): Promise<T> {
  return new Promise<T>(() => {});
}

/** Something that some processes have, such as a disk or a network: known to its own file only. */
export class Belonging<T> {
  readonly #what: string;
  readonly #owned = new WeakMap<SimProcess, T>();

  constructor(what: string) {
    this.#what = what;
  }

  /** Gives the process its own, in place of what it had. */
  give(process: SimProcess, value: T): void {
    this.#owned.set(process, value);
  }

  /** What the process has; throws where it was given nothing. */
  of(process: SimProcess): T {
    const value = this.#owned.get(process);
    if (value === undefined) throw new Error(`Cannot use ${this.#what} in ${process.key} because it was given none`);
    return value;
  }
}
