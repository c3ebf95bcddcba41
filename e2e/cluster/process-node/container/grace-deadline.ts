/** The instant after which nobody is asked any more, only killed. It can come closer, never move away. */
export class GraceDeadline {
  readonly #expiry = new AbortController();
  #atMs: number;
  #timer: NodeJS.Timeout;

  constructor(graceMs: number) {
    this.#atMs = performance.now() + graceMs;
    this.#timer = this.#arm();
  }

  /** Comes when the time is up. */
  get expired(): AbortSignal {
    return this.#expiry.signal;
  }

  /** What is left. */
  remainingMs(): number {
    return Math.max(0, this.#atMs - performance.now());
  }

  /** Makes the deadline come at most `graceMs` from now. */
  shorten(graceMs: number): void {
    const atMs = performance.now() + graceMs;
    if (atMs >= this.#atMs) return;
    this.#atMs = atMs;
    clearTimeout(this.#timer);
    this.#timer = this.#arm();
  }

  /** Lets go of the timer; the deadline never comes. */
  cancel(): void {
    clearTimeout(this.#timer);
  }

  #arm(): NodeJS.Timeout {
    const longestTimerMs = 2 ** 31 - 1;
    return setTimeout(() => this.#expiry.abort(), Math.min(this.remainingMs(), longestTimerMs));
  }
}
