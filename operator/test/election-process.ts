import { type ElectionState, LeaderElection } from "../src/kubernetes/leader-election.ts";
import { leaseTiming } from "../src/kubernetes/lease.ts";
import type { Term } from "../src/kubernetes/term.ts";
import type { ElectionWorld } from "./election-world.ts";

/** What is said of a process before it starts. */
export type ProcessOptions = Readonly<{
  name: string;
  /** How fast its clocks run. */
  rate: number;
  wallOffsetMs: number;
  work: (term: Term) => Promise<void>;
  /** Called with everything that its election tells. */
  told: () => void;
}>;

/** One candidate: a process that can be paused, suspended, cut off, asked to stop and killed. */
export class ElectionProcess {
  readonly name: string;
  readonly rate: number;
  readonly states: ElectionState[] = ["Following"];
  readonly errors: unknown[] = [];
  readonly terms: Term[] = [];
  readonly election: LeaderElection;
  isDead = false;
  /** Whether it was asked to stop. */
  isLeaving = false;
  /** Whether the network between it and the server is down: requests get no connection, its watch says nothing. */
  isCutOff = false;
  /** How many requests it has sent, watches included. */
  requests = 0;
  /** The uid of the Lease that it was shown last. */
  shownUid: string | undefined;
  frozenUntilMs = 0;
  /** What its run resolved or rejected with. */
  end: unknown;
  readonly #world: ElectionWorld;
  readonly #stop = new AbortController();
  readonly #bootedAtMs: number;
  readonly #halts: { fromMs: number; untilMs: number }[] = [];
  #wallOffsetMs: number;

  constructor(world: ElectionWorld, options: ProcessOptions) {
    this.#world = world;
    this.name = options.name;
    this.rate = options.rate;
    this.#wallOffsetMs = options.wallOffsetMs;
    this.#bootedAtMs = world.random() * 1e9;
    this.election = new LeaderElection({
      client: world.network.clientOf(this),
      lease: { namespace: "ns", name: "operator" },
      identity: options.name,
      timing: leaseTiming,
      now: () => this.monotonicMs,
      random: world.random,
      onChange: (state) => {
        this.states.push(state);
        options.told();
      },
      onError: (error) => {
        this.errors.push(error);
        options.told();
      },
    });
    world.at(0, this, () => this.#begin(options.work));
  }

  get monotonicMs(): number {
    const now = this.#world.nowMs;
    const halted = this.#halts.reduce((sum, halt) => sum + Math.max(0, Math.min(now, halt.untilMs) - halt.fromMs), 0);
    return this.#bootedAtMs + (now - halted) * this.rate;
  }

  get wallMs(): number {
    return 1_800_000_000_000 + this.#wallOffsetMs + this.#world.nowMs * this.rate;
  }

  get isFrozen(): boolean {
    return this.frozenUntilMs > this.#world.nowMs;
  }

  /** Whether a term of it would let a write through now. */
  get mayWrite(): boolean {
    const open = this.terms.filter((term) => !term.signal.aborted);
    return open.some((term) => this.#world.as(this, () => passes(term)));
  }

  /** As SIGSTOP and SIGCONT: its clocks go on. */
  pause(forMs: number): void {
    this.frozenUntilMs = Math.max(this.frozenUntilMs, this.#world.nowMs + forMs);
  }

  /** As its machine is suspended: its monotonic clock stands still, the wall clock does not. */
  suspend(forMs: number): void {
    if (this.isFrozen) return;
    this.pause(forMs);
    this.#halts.push({ fromMs: this.#world.nowMs, untilMs: this.frozenUntilMs });
  }

  /** Ends a pause or a suspension early. */
  resume(): void {
    const now = this.#world.nowMs;
    this.frozenUntilMs = Math.min(this.frozenUntilMs, now);
    for (const halt of this.#halts) halt.untilMs = Math.min(halt.untilMs, Math.max(halt.fromMs, now));
  }

  setWall(byMs: number): void {
    this.#wallOffsetMs += byMs;
  }

  /** As SIGTERM. */
  terminate(): void {
    this.isLeaving = true;
    this.#world.at(0, this, () => this.#stop.abort(new Error("terminated")));
  }

  /** As SIGKILL. */
  kill(): void {
    this.isDead = true;
  }

  #begin(work: ProcessOptions["work"]): void {
    const lead = (term: Term): Promise<void> => {
      this.terms.push(term);
      return work(term);
    };
    this.election.run(this.#stop.signal, lead).then(
      () => this.#ended("Resolved"),
      (error: unknown) => this.#ended(error),
    );
  }

  #ended(end: unknown): void {
    this.end = end;
    this.isDead = true;
  }
}

/** Work that ends as soon as it is asked to. */
export function untilAsked(term: Term): Promise<void> {
  return new Promise((resolve) => term.leaving.addEventListener("abort", () => resolve(), { once: true }));
}

function passes(term: Term): boolean {
  try {
    term.assertHeld();
    return true;
  } catch {
    return false;
  }
}
