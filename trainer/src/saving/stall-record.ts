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
  #totalSeconds = 0;
  readonly #latest: number[] = [];

  /** Takes in what one save, whole or failed, came to. */
  add(seconds: number): void {
    this.#totalSeconds += seconds;
    this.#latest.push(seconds);
    if (this.#latest.length > remembered) this.#latest.shift();
  }

  get summary(): StallSummary {
    const sorted = this.#latest.toSorted((a, b) => a - b);
    const quantile = (share: number) => sorted[Math.ceil(share * sorted.length) - 1] ?? null;
    return {
      totalSeconds: this.#totalSeconds,
      meanSeconds: sorted.length === 0 ? null : sorted.reduce((sum, seconds) => sum + seconds, 0) / sorted.length,
      p50Seconds: quantile(0.5),
      p99Seconds: quantile(0.99),
    };
  }
}
