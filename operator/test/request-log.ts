/** What became of one request that came to a proxy. Times are of the monotonic clock. */
export type LoggedRequest = Readonly<{
  method: string;
  path: string;
  isWatch: boolean;
  atMs: number;
  /** When its answer was over, or its connection was; undefined while it is under way. */
  endedAtMs: number | undefined;
  /** What the client was told; undefined where it heard nothing. */
  status: number | undefined;
  /** Bytes of the answer's body that were passed on. */
  bytes: number;
}>;

/** The most requests that were under way at one moment. */
export function mostAtOnce(log: readonly LoggedRequest[]): number {
  const moments = log
    .flatMap(({ atMs, endedAtMs }) => [
      { atMs, change: 1 },
      { atMs: endedAtMs ?? Number.POSITIVE_INFINITY, change: -1 },
    ])
    // One that ends makes room for one that begins at the same moment.
    .sort((a, b) => a.atMs - b.atMs || a.change - b.change);
  let underWay = 0;
  let most = 0;
  for (const { change } of moments) {
    underWay += change;
    most = Math.max(most, underWay);
  }
  return most;
}

/**
 * By how many requests the log goes past a rate, at the worst moment: a bucket that holds `burst` and is filled
 * `perSecond` would have lacked so many. 0 where the rate was held.
 */
export function beyondRate(
  log: readonly Readonly<{ atMs: number }>[],
  limits: Readonly<{ burst: number; perSecond: number }>,
): number {
  let tokens = limits.burst;
  let filledAt = Number.NEGATIVE_INFINITY;
  let lacking = 0;
  for (const { atMs } of [...log].sort((a, b) => a.atMs - b.atMs)) {
    tokens = Math.min(limits.burst, tokens + ((atMs - filledAt) / 1000) * limits.perSecond) - 1;
    filledAt = atMs;
    lacking = Math.max(lacking, -tokens);
  }
  return Math.ceil(lacking);
}
