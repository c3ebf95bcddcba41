import { pause } from "../backoff.ts";
import type { Gate } from "../gate.ts";
import type { Probe } from "../pod/pod.ts";
import { type HandlerTarget, runHandler } from "./handlers.ts";

/** One probe of a running container. */
export interface Probing {
  readonly probe: Probe;
  readonly target: HandlerTarget;
  readonly gate: Gate;
  /** Ends the probing: the container has ended, or what was asked is settled. */
  readonly signal: AbortSignal;
  /** Told each time enough answers in a row agree; not told again of what it knows. */
  readonly onVerdict: (isGood: boolean) => void;
}

const eagerPeriodMs = 100;

/**
 * Asks a container again and again until the signal. Until the first verdict it asks more often than a kubelet, which
 * sleeps whole periods: a container that is ready after 50 ms should not cost a second. Failures still count only once
 * a period, so that a slow start has the time that the probe grants.
 */
export async function keepProbing({ probe, target, gate, signal, onVerdict }: Probing): Promise<void> {
  const periodMs = probe.periodSeconds * 1_000;
  const streaks = new Streaks(probe);
  let verdict: boolean | undefined;
  await pause(probe.initialDelaySeconds * 1_000, signal);
  while (!signal.aborted) {
    await gate.pass();
    const limit = AbortSignal.any([signal, AbortSignal.timeout(probe.timeoutSeconds * 1_000)]);
    const isGood = await runHandler(probe, target, limit);
    if (signal.aborted) return;
    const next = streaks.add(isGood, performance.now());
    if (next !== undefined && next !== verdict) {
      verdict = next;
      onVerdict(next);
    }
    await pause(verdict === undefined ? Math.min(eagerPeriodMs, periodMs) : periodMs, signal);
  }
}

/** Counts answers in a row. */
export class Streaks {
  readonly #probe: Pick<Probe, "periodSeconds" | "successThreshold" | "failureThreshold">;
  #successes = 0;
  #failures = 0;
  #countedFailureAtMs = Number.NEGATIVE_INFINITY;

  constructor(probe: Pick<Probe, "periodSeconds" | "successThreshold" | "failureThreshold">) {
    this.#probe = probe;
  }

  /** Takes one answer; returns what enough of them now agree on, if anything. */
  add(isGood: boolean, nowMs: number): boolean | undefined {
    if (isGood) {
      this.#failures = 0;
      this.#successes += 1;
      return this.#successes >= this.#probe.successThreshold ? true : undefined;
    }
    this.#successes = 0;
    // A timer may fire a little early; a tenth of a period is no reason to wait for another one.
    if (nowMs - this.#countedFailureAtMs >= this.#probe.periodSeconds * 900) {
      this.#failures += 1;
      this.#countedFailureAtMs = nowMs;
    }
    return this.#failures >= this.#probe.failureThreshold ? false : undefined;
  }
}
