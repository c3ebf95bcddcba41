/** What saves held the training up for, in seconds: all of them summed, and the newest ones in numbers of their own. */
export type StallSummary = {
  readonly totalSeconds: number;
  /** Null before the first save. */
  readonly meanSeconds: number | null;
  readonly p50Seconds: number | null;
  readonly p99Seconds: number | null;
};

/** How many saves the quantiles are taken over. */
const remembered = 256;

/** Remembers how long each save held the training up. */
export class StallRecord {
  readonly #latest: number[] = [];
  #summary: StallSummary = { totalSeconds: 0, meanSeconds: null, p50Seconds: null, p99Seconds: null };

  /** Asked for after every step, so it is made once per save. */
  get summary(): StallSummary {
    return this.#summary;
  }

  /** Takes in what one save, whole or failed, came to. */
  add(seconds: number): void {
    this.#latest.push(seconds);
    if (this.#latest.length > remembered) this.#latest.shift();
    const sorted = this.#latest.toSorted((a, b) => a - b);
    const quantile = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? null;
    this.#summary = {
      totalSeconds: this.#summary.totalSeconds + seconds,
      meanSeconds: sorted.reduce((sum, one) => sum + one, 0) / sorted.length,
      p50Seconds: quantile(0.5),
      p99Seconds: quantile(0.99),
    };
  }
}
