/** Whoever asks does so every few seconds. What passes between two answers beyond this, the process did not run in. */
const longestBetweenMs = 60_000;

/**
 * For how long a save has been in flight, counted in the time in which somebody could ask: a pod that was frozen for an
 * hour and goes on has not waited for its volume, nor has a save whose values an evaluation kept from being copied.
 */
export class FlightTime {
  #countedMs = 0;
  #askedAtMs: number;

  constructor(beganMs: number) {
    this.#askedAtMs = beganMs;
  }

  /** The seconds so far; asked every few of them. */
  secondsAt(nowMs: number): number {
    this.#countedMs += Math.min(Math.max(0, nowMs - this.#askedAtMs), longestBetweenMs);
    this.#askedAtMs = Math.max(this.#askedAtMs, nowMs);
    return this.#countedMs / 1000;
  }
}
