import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { AgentReport } from "../core/observed.ts";
import { backoffMs } from "../kubernetes/backoff.ts";
import { sleep } from "../kubernetes/sleep.ts";
import type { Urgency } from "../kubernetes/work-queue.ts";
import type { AgentAddress } from "./agent-client.ts";

/** An agent to ask, and the run that its answer is about. */
export type Probed = AgentAddress & Readonly<{ run: string }>;

export type ProbeOptions = Readonly<{
  /** The agents to ask now: those of pods that have an address and have not ended. */
  targets: () => readonly Probed[];
  ask: (target: Probed, signal: AbortSignal) => Promise<AgentState>;
  /** Told when a run should be decided again because of an answer: patiently for mere progress. */
  wake: (run: string, urgency: Urgency) => void;
  /** Told of every answer. Where it fails, the agent has answered all the same; it is told again of the next answer. */
  onAnswer: (target: Probed, state: AgentState, signal: AbortSignal) => Promise<void>;
  /** From one question to an agent to the next; longer where there are very many. */
  intervalMs: number;
  /** The same for an agent whose trainer has not reported a step yet: how long a recovery takes shows here. */
  eagerMs: number;
  /**
   * Mere progress is passed on at most this often: each passing is a write to the API server. Nobody is woken for it more
   * than ten times a second in all, so that the progress of thousands never stands before the loss of one.
   */
  progressEveryMs: number;
  /** So many agents are asked at once, of which half at most may be ones that did not answer the last time. */
  concurrency: number;
  random?: () => number;
  /** The clock that answers are dated by: people set it. */
  now?: () => number;
  /** The clock that every rhythm keeps to: nobody sets it. */
  monotonicNow?: () => number;
}>;

/**
 * Asks every agent in a rhythm of its own and keeps its last answer. One that hangs delays no other, and one that is
 * silent is asked more rarely; no decision of safety rests on an answer, so nothing else follows.
 */
export class Probe {
  readonly #options: ProbeOptions;
  readonly #now: () => number;
  readonly #monotonicNow: () => number;
  readonly #agents = new Map<string, Known>();
  /** Due and not asked yet, longest waiting first. */
  readonly #due = new Map<string, Probed>();
  readonly #asking = new Set<Promise<void>>();
  #silentAsked = 0;
  /** Undefined where they may have changed. */
  #targets: ReadonlyMap<string, Probed> | undefined;
  /** How many they were when they were last looked at. */
  #crowd = 0;
  #askingSince: number | undefined;
  #begunAt = Number.NEGATIVE_INFINITY;
  #lookAt = 0;
  #pause = new AbortController();

  constructor(options: ProbeOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#monotonicNow = options.monotonicNow ?? (() => performance.now());
  }

  /**
   * The answer to decide on. It changes at once where something matters, else every few seconds, for whoever asks: also
   * where nobody is woken for it.
   */
  report(podUid: string): AgentReport | undefined {
    const known = this.#agents.get(podUid);
    if (known?.answer === undefined) return undefined;
    const { newest } = known.answer;
    if (this.#hasProgressed(known.answer, this.#options.progressEveryMs)) known.answer = this.#passedOn(newest);
    return { ...known.answer.passedOn, heardAt: newest.receivedAt };
  }

  /** When the first question may have been asked: no agent was silent towards this process before. */
  get askingSince(): number | undefined {
    return this.#askingSince;
  }

  /** The pod is gone, and with it the need for its last answer. */
  forget(podUid: string): void {
    this.#agents.delete(podUid);
    this.#due.delete(podUid);
  }

  /** The agents to ask may be others than before. */
  targetsChanged(): void {
    this.#targets = undefined;
    this.#lookBy(this.#monotonicNow());
  }

  /** Asks until the signal is aborted, and ends when the last question has. */
  async run(signal: AbortSignal): Promise<void> {
    this.#askingSince = this.#now();
    this.#begunAt = this.#monotonicNow();
    while (!signal.aborted) {
      this.look(signal);
      await this.#sleepUntilDue(signal);
    }
    await this.answered();
  }

  /** Begins to ask every agent that is due and not being asked. Waits for none. */
  look(signal: AbortSignal): void {
    const now = this.#monotonicNow();
    this.#targets ??= new Map(this.#options.targets().map((target) => [target.podUid, target]));
    this.#crowd = this.#targets.size;
    for (const podUid of this.#due.keys()) if (!this.#targets.has(podUid)) this.#due.delete(podUid);
    this.#lookAt = now + longestPauseMs;
    for (const target of this.#targets.values()) {
      const { isAsked, askAgainAt } = this.#known(target);
      if (isAsked) continue;
      if (askAgainAt <= now) this.#due.set(target.podUid, target);
      else this.#lookBy(askAgainAt);
    }
    this.#askNext(signal);
  }

  /** Resolves when every question begun so far, and those that waited for them, have ended. */
  async answered(): Promise<void> {
    while (this.#asking.size > 0) await Promise.all(this.#asking);
  }

  /** Sleeps until somebody is due, or may be, but never so briefly that many agents make it a spin. */
  async #sleepUntilDue(signal: AbortSignal): Promise<void> {
    const earliest = this.#monotonicNow() + shortestPauseMs;
    for (;;) {
      const waitMs = Math.max(this.#lookAt, earliest) - this.#monotonicNow();
      if (waitMs <= 0 || signal.aborted) return;
      this.#pause = new AbortController();
      await sleep(waitMs, AbortSignal.any([signal, this.#pause.signal])).catch(() => undefined);
    }
  }

  #lookBy(at: number): void {
    if (at >= this.#lookAt) return;
    this.#lookAt = at;
    this.#pause.abort();
  }

  #askNext(signal: AbortSignal): void {
    const { concurrency } = this.#options;
    for (const target of this.#due.values()) {
      if (signal.aborted || this.#asking.size >= concurrency) return;
      const isSilent = this.#known(target).failures > 0;
      if (isSilent && this.#silentAsked >= Math.ceil(concurrency / 2)) continue;
      this.#due.delete(target.podUid);
      const asking = this.#ask(target, signal).finally(() => {
        this.#asking.delete(asking);
        if (isSilent) this.#silentAsked -= 1;
        this.#askNext(signal);
      });
      this.#asking.add(asking);
      if (isSilent) this.#silentAsked += 1;
    }
  }

  #known({ podUid }: Probed): Known {
    const known = this.#agents.get(podUid) ?? { failures: 0, askAgainAt: Number.NEGATIVE_INFINITY, isAsked: false };
    this.#agents.set(podUid, known);
    return known;
  }

  async #ask(target: Probed, signal: AbortSignal): Promise<void> {
    const { ask, onAnswer, intervalMs, eagerMs } = this.#options;
    const known = this.#known(target);
    const askedAt = this.#monotonicNow();
    known.isAsked = true;
    try {
      const state = await ask(target, signal);
      known.failures = 0;
      const rhythmMs = state.progress?.firstStep === undefined ? Math.min(eagerMs, intervalMs) : intervalMs;
      known.askAgainAt = askedAt + this.#spaced(rhythmMs, mostAskedPerSecond);
      this.#hear(target, known, state);
      await onAnswer(target, state, signal).catch(() => undefined);
    } catch {
      // An agent that is starting, ending or cut off is no news: no decision rests on its silence.
      known.failures += 1;
      known.askAgainAt = this.#monotonicNow() + this.#spaced(this.#waitMs(known.failures), mostAskedPerSecond);
    } finally {
      known.isAsked = false;
      this.#lookBy(known.askAgainAt);
    }
  }

  /** The first failures change little: most agents are only just starting. */
  #waitMs(failures: number): number {
    const { eagerMs, intervalMs, random = Math.random } = this.#options;
    if (failures <= patientFailures) return Math.min(eagerMs, intervalMs);
    return backoffMs(failures - patientFailures, { firstMs: 4_000, maxMs: 30_000, random });
  }

  #hear({ podUid, run }: Probed, known: Known, state: AgentState): void {
    const newest = { podUid, receivedAt: this.#now(), state };
    const { answer } = known;
    const isNews = answer === undefined || news(state) !== news(answer.passedOn.state);
    const wakeEveryMs = this.#spaced(this.#options.progressEveryMs, mostWokenPerSecond);
    if (isNews || this.#hasProgressed({ ...answer, newest }, wakeEveryMs)) {
      known.answer = this.#passedOn(newest);
      // Whoever takes over hears of every agent at once, and mostly nothing but how far each one is.
      const isFirstOfAll = answer === undefined && this.#monotonicNow() - this.#begunAt < settlingMs;
      this.#options.wake(run, isNews && !isFirstOfAll ? "Urgent" : "Patient");
    } else {
      known.answer = { ...answer, newest };
    }
  }

  #hasProgressed({ newest, passedOn, passedOnAt }: Answer, everyMs: number): boolean {
    if (newest.state.progress?.step === passedOn.state.progress?.step) return false;
    return this.#monotonicNow() - passedOnAt >= everyMs;
  }

  #passedOn(newest: AgentReport): Answer {
    return { newest, passedOn: newest, passedOnAt: this.#monotonicNow() };
  }

  /** A rhythm of each agent, stretched so that all of them together keep to so many a second. */
  #spaced(rhythmMs: number, mostPerSecond: number): number {
    return Math.max(rhythmMs, (this.#crowd * 1_000) / mostPerSecond);
  }
}

type Known = { answer?: Answer; failures: number; askAgainAt: number; isAsked: boolean };

/** What an agent said last, and what is decided on; when that was passed on, by the monotonic clock. */
type Answer = Readonly<{ newest: AgentReport; passedOn: AgentReport; passedOnAt: number }>;

const shortestPauseMs = 100;
const longestPauseMs = 60_000;
const patientFailures = 10;
const settlingMs = 10_000;
/** Above 800 each is asked more rarely: every question costs the thread that also decides a third of a millisecond. */
const mostAskedPerSecond = 400;
const mostWokenPerSecond = 10;

/** What is passed on at once: everything but how far the training is. */
function news(state: AgentState): string {
  const { phase, restored, progress, checkpoints, latestVerified, best, refused, done, problems, mirror } = state;
  return JSON.stringify([
    phase,
    restored?.time,
    progress?.firstStep,
    checkpoints.map(({ digest, verified, tiers }) => [digest, verified, tiers]),
    [latestVerified?.digest, latestVerified?.tiers, best?.digest],
    refused.map(({ digest }) => digest),
    [done, state.verificationFailures, state.stall?.step],
    problems.map(({ reason }) => reason),
    [mirror?.latestStep, mirror?.problem?.reason],
  ]);
}
