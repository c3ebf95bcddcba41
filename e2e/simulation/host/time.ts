import { AsyncResource } from "node:async_hooks";
import timers from "node:timers";
import timersPromises from "node:timers/promises";
import type { SimProcess } from "./process.ts";
import { closing, dispatching, dispatchingAsync, type Replacement, replacing } from "./replacement.ts";
import type { SimEvent } from "./scheduler.ts";

/** The clocks and timers of Node, answered with a process's own where a process asks. */
export function timeReplacements(): Replacement[] {
  const global = { of: "globalThis" } as const;
  return [
    replacing(globalThis, { ...global, name: "Date" }, simulatedDate),
    replacing(performance, { name: "now", of: "performance" }, (real) =>
      dispatching(real.bind(performance), (process) => process.scheduler.now - process.madeAt),
    ),
    replacing(process, { name: "uptime", of: "process" }, (real) =>
      dispatching(real, (caller) => (caller.scheduler.now - caller.madeAt) / 1000),
    ),
    replacing(process.hrtime, { name: "bigint", of: "process.hrtime" }, (real) =>
      dispatching(real, (caller) => BigInt(Math.round((caller.scheduler.now - caller.madeAt) * 1e6))),
    ),
    ...timerReplacements(),
    replacing(AbortSignal, { name: "timeout", of: "AbortSignal" }, (real) =>
      dispatching(real.bind(AbortSignal), abortAfter),
    ),
    replacing(timersPromises, { name: "setTimeout", of: "timers/promises" }, simulatedPause),
    replacing(timersPromises, { name: "setImmediate", of: "timers/promises" }, simulatedTurn),
    ...closing(timersPromises, { names: ["setInterval"], of: "timers/promises" }),
    ...closing(timersPromises.scheduler, { names: ["wait", "yield"], of: "timers/promises.scheduler" }),
    ...closing(process, { names: ["hrtime"], of: "process" }),
  ];
}

/** What `setTimeout`, `setInterval` and `setImmediate` return inside a process. */
export class SimTimer implements Disposable {
  readonly #process: SimProcess;
  readonly #delayMs: number;
  readonly #repeats: boolean;
  readonly #run: () => void;
  /** As in Node, the callback sees the asynchronous context in which the timer was set. */
  readonly #context = new AsyncResource("SimTimer");
  #kind: "timer" | "background" = "timer";
  #event: SimEvent;
  #isClosed = false;

  constructor(process: SimProcess, run: () => void, { delayMs, repeats }: { delayMs: number; repeats: boolean }) {
    this.#process = process;
    this.#delayMs = delayMs;
    this.#repeats = repeats;
    this.#run = run;
    this.#event = this.#schedule();
  }

  ref(): this {
    return this.#count("timer");
  }

  unref(): this {
    return this.#count("background");
  }

  hasRef(): boolean {
    return this.#kind === "timer";
  }

  refresh(): this {
    this.close();
    this.#isClosed = false;
    this.#event = this.#schedule();
    return this;
  }

  close(): this {
    this.#isClosed = true;
    this.#process.scheduler.cancel(this.#event);
    return this;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #count(kind: "timer" | "background"): this {
    this.#kind = kind;
    this.#process.scheduler.setKind(this.#event, kind);
    return this;
  }

  #schedule(): SimEvent {
    const event: SimEvent = this.#process.scheduler.after(
      this.#process,
      this.#delayMs,
      () => this.#fire(event),
      this.#kind,
    );
    return event;
  }

  #fire(event: SimEvent): void {
    this.#context.runInAsyncScope(this.#run);
    // Refreshed or closed by its own callback, it is not the interval's turn any more.
    if (this.#repeats && this.#event === event && !this.#isClosed) this.#event = this.#schedule();
  }
}

/** The wall clock as this process sees it, in milliseconds since 1970. */
function wallClockOf({ scheduler, skewMs }: SimProcess): number {
  return Math.floor(scheduler.epochMs + scheduler.now + skewMs);
}

/** One class for all, so that `instanceof` holds for dates of either clock; only the present instant is simulated. */
function simulatedDate(real: DateConstructor): DateConstructor {
  real.now = dispatching(real.now.bind(real), wallClockOf);
  return new Proxy(real, {
    construct(target, args, newTarget) {
      return Reflect.construct(target, args.length === 0 ? [real.now()] : args, newTarget);
    },
    apply: () => new Date().toString(),
  });
}

type Callback = (...args: unknown[]) => void;
type SetTimer = (callback: Callback, delayMs?: number, ...args: unknown[]) => unknown;
type ClearTimer = (timer?: unknown) => void;

function timerReplacements(): Replacement[] {
  return [
    { of: "globalThis", owner: globalThis },
    { of: "timers", owner: timers },
  ].flatMap(({ of, owner }) => {
    // The types of Node give its own classes of timers, which nothing but Node can make.
    const setters = owner as unknown as Record<"setTimeout" | "setInterval" | "setImmediate", SetTimer>;
    const clearers = owner as unknown as Record<"clearTimeout" | "clearInterval" | "clearImmediate", ClearTimer>;
    return [
      replacing(setters, { of, name: "setTimeout" }, (real) => setting(real, { repeats: false })),
      replacing(setters, { of, name: "setInterval" }, (real) => setting(real, { repeats: true })),
      replacing(setters, { of, name: "setImmediate" }, settingImmediate),
      replacing(clearers, { of, name: "clearTimeout" }, clearing),
      replacing(clearers, { of, name: "clearInterval" }, clearing),
      replacing(clearers, { of, name: "clearImmediate" }, clearing),
    ];
  });
}

function setting(real: SetTimer, { repeats }: { repeats: boolean }): SetTimer {
  return dispatching(real, (process, callback, delayMs, ...args) => {
    const run = () => callback(...args);
    return new SimTimer(process, run, { delayMs: wholeDelay(delayMs), repeats });
  });
}

/** At the next event: after all microtasks, and after what else was due at this instant in the process before. */
function settingImmediate(real: SetTimer): SetTimer {
  return dispatching(real, (process, callback, ...args) => {
    return new SimTimer(process, () => callback(...args), { delayMs: 0, repeats: false });
  });
}

function clearing(real: ClearTimer): ClearTimer {
  return (timer) => {
    if (timer instanceof SimTimer) timer.close();
    else real(timer);
  };
}

/** As Node has it: at least a millisecond, and one where the delay is no delay; never before it is over. */
function wholeDelay(delayMs: unknown): number {
  const delay = Number(delayMs);
  return delay >= 1 && delay <= 2 ** 31 - 1 ? Math.ceil(delay) : 1;
}

/** The signal belongs to the process that made it: its listeners run in an event of that one. */
function abortAfter(process: SimProcess, delayMs: number): AbortSignal {
  const controller = new AbortController();
  const abort = () => controller.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError"));
  process.scheduler.after(process, Math.ceil(delayMs), abort, "background");
  return controller.signal;
}

type PauseOptions = Readonly<{ signal?: AbortSignal; ref?: boolean }>;

function simulatedPause<T>(real: typeof timersPromises.setTimeout): typeof timersPromises.setTimeout {
  const simulated = (process: SimProcess, delayMs?: number, value?: T, options: PauseOptions = {}) =>
    pause(process, { delayMs: wholeDelay(delayMs), value, ...options });
  return dispatchingAsync(real, simulated) as typeof timersPromises.setTimeout;
}

function simulatedTurn<T>(real: typeof timersPromises.setImmediate): typeof timersPromises.setImmediate {
  const simulated = (process: SimProcess, value?: T, options: PauseOptions = {}) =>
    pause(process, { delayMs: 0, value, ...options });
  return dispatchingAsync(real, simulated) as typeof timersPromises.setImmediate;
}

function pause<T>(
  process: SimProcess,
  { delayMs, value, signal, ref = true }: PauseOptions & { delayMs: number; value: T },
): Promise<T> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) {
      reject(new PauseAbortedError(signal.reason));
      return;
    }
    const abort = () => {
      timer.close();
      reject(new PauseAbortedError(signal?.reason));
    };
    const end = () => {
      signal?.removeEventListener("abort", abort);
      resolve(value);
    };
    const timer = new SimTimer(process, end, { delayMs, repeats: false });
    if (!ref) timer.unref();
    signal?.addEventListener("abort", abort, { once: true });
  });
}

/** As Node's own, by which callers tell it: name, code and cause. */
class PauseAbortedError extends Error {
  override readonly name = "AbortError";
  readonly code = "ABORT_ERR";

  constructor(cause: unknown) {
    super("The operation was aborted", { cause });
  }
}
