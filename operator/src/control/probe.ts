import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { AgentReport } from "../core/observed.ts";
import { backoffMs } from "../kubernetes/backoff.ts";
import { sleep } from "../kubernetes/sleep.ts";
import type { AgentAddress } from "./agent-client.ts";

/** An agent to ask, and the run that its answer is about. */
export type Probed = AgentAddress & Readonly<{ run: string }>;

export type ProbeOptions = Readonly<{
  /** The agents to ask now: those of pods that have an address and have not ended. */
  targets: () => readonly Probed[];
  ask: (target: Probed, signal: AbortSignal) => Promise<AgentState>;
  /** Told when a run should be decided again because of an answer. */
  wake: (run: string) => void;
  /** Told of every answer. */
  onAnswer: (target: Probed, state: AgentState, signal: AbortSignal) => Promise<void>;
  intervalMs: number;
  /** Mere progress is passed on at most this often: each passing is a write to the API server. */
  progressEveryMs: number;
  concurrency: number;
  random?: () => number;
  now?: () => number;
}>;

/**
 * Asks every agent in turn and keeps its last answer. No decision of safety rests on one: an agent that is
 * silent is asked more rarely, and nothing else follows from it.
 */
export class Probe {
  readonly #options: ProbeOptions;
  readonly #now: () => number;
  readonly #agents = new Map<string, Known>();

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
  }

  /** The answer to decide on. It changes at once where something matters, else every few seconds. */
  report(podUid: string): AgentReport | undefined {
    return this.#agents.get(podUid)?.passedOn;
  }

  /** The pod is gone, and with it the need for its last answer. */
  forget(podUid: string): void {
    this.#agents.delete(podUid);
  }

  /** Asks in rounds until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.round(signal);
      await sleep(this.#options.intervalMs, signal).catch(() => undefined);
    }
  }

  /** Asks every agent that is due once. */
  async round(signal: AbortSignal): Promise<void> {
    const due = this.#options
      .targets()
      .filter(({ podUid }) => (this.#agents.get(podUid)?.askAgainAt ?? 0) <= this.#now());
    const next = due.values();
    const asker = async () => {
      for (const target of next) {
        if (signal.aborted) return;
        await this.#ask(target, signal);
      }
    };
    await Promise.all(Array.from({ length: this.#options.concurrency }, asker));
  }

  async #ask(target: Probed, signal: AbortSignal): Promise<void> {
    const known = this.#agents.get(target.podUid) ?? { failures: 0, askAgainAt: 0 };
    this.#agents.set(target.podUid, known);
    try {
      const state = await this.#options.ask(target, signal);
      known.failures = 0;
      known.askAgainAt = 0;
      this.#passOn(target, known, state);
      await this.#options.onAnswer(target, state, signal);
    } catch {
      // An agent that is starting, ending or cut off is no news: no decision rests on its silence.
      known.failures += 1;
      const random = this.#options.random ?? Math.random;
      // The first failures are asked again in the next round: most agents are only just starting.
      if (known.failures > 5) {
        known.askAgainAt = this.#now() + backoffMs(known.failures - 5, { firstMs: 4_000, maxMs: 30_000, random });
      }
    }
  }

  #passOn(target: Probed, known: Known, state: AgentState): void {
    const { passedOn } = known;
    const now = this.#now();
    const isNews = passedOn === undefined || news(state) !== news(passedOn.state);
    if (!isNews && now - passedOn.receivedAt < this.#options.progressEveryMs) return;
    if (!isNews && state.progress?.step === passedOn.state.progress?.step) return;
    known.passedOn = { podUid: target.podUid, receivedAt: now, state };
    this.#options.wake(target.run);
  }
}

type Known = { passedOn?: AgentReport; failures: number; askAgainAt: number };

/** What is passed on at once: everything but how far the training is. */
function news(state: AgentState): string {
  const { phase, restored, progress, checkpoints, latestVerified, best, refused, done, problems } = state;
  return JSON.stringify([
    phase,
    restored?.time,
    progress?.firstStep,
    checkpoints.map(({ digest, verified, tiers }) => [digest, verified, tiers]),
    [latestVerified?.digest, latestVerified?.tiers, best?.digest],
    refused.map(({ digest }) => digest),
    [done, state.verificationFailures],
    problems.map(({ reason }) => reason),
  ]);
}
