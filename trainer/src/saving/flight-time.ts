/** Whoever asks does so every few seconds. What passes between two answers beyond this, the process did not run in. */
const longestBetweenMs = 60_000;

/**
 * For how long a save has been in flight, and since when nothing of it has moved, counted in the time in which somebody
 * could ask: a pod that was frozen for an hour and goes on has not waited for its volume, nor has a save whose values an
 * evaluation kept from being copied.
 */
export class FlightTime {
  readonly #writtenBytes: () => number;
  #countedMs = 0;
  #askedAtMs: number;
  #seenBytes = 0;
  #movedMs = 0;

  /** `writtenBytes` says how much of it has been taken by the volume, and only ever grows. */
  constructor(beganMs: number, writtenBytes: () => number = () => 0) {
    this.#askedAtMs = beganMs;
    this.#writtenBytes = writtenBytes;
  }

  /** The seconds so far; asked every few of them. */
  secondsAt(nowMs: number): number {
    this.#countedMs += Math.min(Math.max(0, nowMs - this.#askedAtMs), longestBetweenMs);
    this.#askedAtMs = Math.max(this.#askedAtMs, nowMs);
    const bytes = this.#writtenBytes();
    if (bytes > this.#seenBytes) {
      this.#seenBytes = bytes;
      this.#movedMs = this.#countedMs;
    }
    return this.#countedMs / 1000;
  }

  /** For how many seconds it had been going on when whoever asked last found that something of it had moved. */
  get movedSeconds(): number {
    return this.#movedMs / 1000;
  }

  /** For how long nothing of it has moved. */
  idleSecondsAt(nowMs: number): number {
    return this.secondsAt(nowMs) - this.movedSeconds;
  }
}
