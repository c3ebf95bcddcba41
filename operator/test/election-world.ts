import { vi } from "vitest";
import { Chance } from "../../e2e/simulation/host/chance.ts";
import { ElectionNetwork } from "./election-network.ts";
import { ElectionProcess, type ProcessOptions, untilAsked } from "./election-process.ts";

/*
 * A world in which several real LeaderElections compete for one Lease of a model API server, in virtual time. Each
 * process has clocks and timers of its own, that drift, are set and stand still; requests, answers and watch events
 * travel for a while, get lost and come late. One thing happens at a time, and all that it causes at once is over before
 * the next one; so whatever runs belongs to one process, whose timers and wall clock stand in for the global ones.
 */

type Happening = {
  atMs: number;
  readonly order: number;
  /** Whose: it happens only while that process runs. Null: the world's. */
  readonly owner: ElectionProcess | null;
  /** Of a timer: when it is due, on its owner's monotonic clock. */
  readonly dueMs: number | null;
  run: () => void;
};

/** True time, and what happens in it. */
export class ElectionWorld {
  nowMs = 0;
  readonly random: () => number;
  readonly network: ElectionNetwork;
  readonly processes: ElectionProcess[] = [];
  /** Each time something happened while two could write. */
  readonly violations: string[] = [];
  readonly #happenings: Happening[] = [];
  readonly #frozen = new Map<ElectionProcess, readonly Happening[]>();
  #order = 0;
  #current: ElectionProcess | null = null;

  constructor(seed: number) {
    const draws = new Chance(seed).row("election", "world");
    this.random = () => draws.next();
    this.network = new ElectionNetwork(this);
  }

  /** Takes the place of the global timers and the wall clock, until {@link leave}. */
  enter(): void {
    vi.useFakeTimers({ toFake: ["Date"] });
    vi.stubGlobal("setTimeout", (call: () => void, delayMs = 0) => this.#startTimer(call, delayMs));
    vi.stubGlobal("clearTimeout", (timer: Happening | undefined) => {
      if (timer !== undefined) timer.run = () => undefined;
    });
  }

  leave(): void {
    vi.unstubAllGlobals();
    vi.useRealTimers();
  }

  /** Starts a candidate; with clocks that are right where nothing else is said. */
  start(options: Partial<ProcessOptions> = {}): ElectionProcess {
    const name = `p${this.processes.length}`;
    const usual = { name, rate: 1, wallOffsetMs: 0, work: untilAsked, told: () => undefined };
    const made = new ElectionProcess(this, { ...usual, ...options });
    this.processes.push(made);
    return made;
  }

  get alive(): readonly ElectionProcess[] {
    return this.processes.filter(({ isDead }) => !isDead);
  }

  /** Those whose term would let a write through now. */
  get leaders(): readonly ElectionProcess[] {
    return this.alive.filter(({ mayWrite }) => mayWrite);
  }

  /** Lets a time pass, with all that happens in it. */
  async pass(forMs: number): Promise<void> {
    const endsAtMs = this.nowMs + forMs;
    for (let next = this.#happenings[0]; next !== undefined && next.atMs <= endsAtMs; next = this.#happenings[0]) {
      this.#happenings.shift();
      await this.#happen(next);
    }
    this.nowMs = endsAtMs;
  }

  /** Lets time pass until a condition holds, and tells how much; Infinity where it never does. */
  async until(condition: () => boolean, atMostMs = 60_000): Promise<number> {
    const startedAtMs = this.nowMs;
    while (!condition()) {
      if (this.nowMs - startedAtMs >= atMostMs) return Number.POSITIVE_INFINITY;
      await this.pass(10);
    }
    return this.nowMs - startedAtMs;
  }

  /** Ends all faults of the network and all pauses. */
  heal(): void {
    this.network.heal();
    for (const process of this.processes) {
      process.isCutOff = false;
      process.resume();
    }
  }

  /** Has something happen after a while; in a process, once that runs. */
  at(delayMs: number, owner: ElectionProcess | null, run: () => void): void {
    this.#add({ atMs: this.nowMs + delayMs, owner, dueMs: null, run });
  }

  /** Does something as a process would: with its clocks. */
  as<T>(owner: ElectionProcess | null, run: () => T): T {
    const before = this.#current;
    this.#enterProcess(owner);
    try {
      return run();
    } finally {
      this.#enterProcess(before);
    }
  }

  async #happen(next: Happening): Promise<void> {
    this.nowMs = Math.max(this.nowMs, next.atMs);
    const { owner } = next;
    if (owner?.isDead === true) return;
    if (owner?.isFrozen === true) {
      this.#whenThawed(owner, next);
      return;
    }
    const earlyMs = owner === null || next.dueMs === null ? 0 : (next.dueMs - owner.monotonicMs) / owner.rate;
    if (earlyMs > 1e-3) {
      this.#put(Object.assign(next, { atMs: this.nowMs + earlyMs }));
      return;
    }
    this.#enterProcess(owner);
    next.run();
    await new Promise((resolve) => setImmediate(resolve));
    this.#enterProcess(null);
    // A term begins to let writes through only when something happens, so that two are seen here if they are ever.
    const writers = this.leaders;
    if (writers.length > 1) this.violations.push(`${this.nowMs} ms: ${writers.map(({ name }) => name).join(" and ")}`);
  }

  /** What befell a frozen process happens, in its order, when it goes on. */
  #whenThawed(owner: ElectionProcess, happening: Happening): void {
    const waiting = this.#frozen.get(owner) ?? [];
    this.#frozen.set(owner, [...waiting, happening]);
    if (waiting.length > 0) return;
    const thaw = (): void => {
      if (owner.isFrozen) {
        this.at(Math.min(100, owner.frozenUntilMs - this.nowMs), null, thaw);
        return;
      }
      for (const late of this.#frozen.get(owner) ?? []) this.#put(Object.assign(late, { atMs: this.nowMs }));
      this.#frozen.delete(owner);
    };
    thaw();
  }

  #enterProcess(owner: ElectionProcess | null): void {
    this.#current = owner;
    if (owner !== null) vi.setSystemTime(owner.wallMs);
  }

  #startTimer(call: () => void, delayMs: number): Happening {
    const owner = this.#current;
    if (owner === null) throw new Error("Cannot start a timer because no process is running");
    const waitMs = Math.max(1, delayMs);
    const dueMs = owner.monotonicMs + waitMs;
    return this.#add({ atMs: this.nowMs + waitMs / owner.rate, owner, dueMs, run: call });
  }

  #add(happening: Omit<Happening, "order">): Happening {
    this.#order += 1;
    const made = { ...happening, order: this.#order };
    this.#put(made);
    return made;
  }

  #put(happening: Happening): void {
    let index = this.#happenings.length;
    for (; index > 0; index -= 1) {
      const before = this.#happenings[index - 1];
      if (before === undefined || before.atMs < happening.atMs) break;
      if (before.atMs === happening.atMs && before.order < happening.order) break;
    }
    this.#happenings.splice(index, 0, happening);
  }
}
