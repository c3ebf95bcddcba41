/** The waits and bounds of a reflector; the defaults are what it runs with, tests are in more of a hurry. */
export type ReflectorTiming = Readonly<{
  /** The server is asked to end a watch after this long; the draw between the two spreads reconnects. */
  watchSeconds: Readonly<{ least: number; most: number }>;
  /** How much later than agreed a watch may end before its connection is given up. */
  overdueMs: number;
  /** A watch that ended sooner has failed, however it ended. */
  livedMs: number;
  openTimeoutMs: number;
  pageSize: number;
  pageTimeoutMs: number;
  /** What is set aside for a list within the time that the cache may be blind. */
  listMs: number;
  blindLimitMs: number;
  /** For how long a server may show older states than were seen before they are taken for its new history. */
  doubtMs: number;
  /** From the beginning of a list to the next, and of a watch to the next. */
  spacingMs: number;
  backoff: Readonly<{ firstMs: number; maxMs: number }>;
}>;

// The server sends a bookmark 2 s before the agreed end of a watch, where there is something new to tell, so the watch
// is short enough for the end itself to be the sign of life. 40 s + 10 s to open it + 5 s + 5 s are the minute.
export const defaultTiming: ReflectorTiming = {
  watchSeconds: { least: 25, most: 40 },
  overdueMs: 5_000,
  livedMs: 5_000,
  openTimeoutMs: 10_000,
  pageSize: 500,
  pageTimeoutMs: 10_000,
  listMs: 5_000,
  blindLimitMs: 60_000,
  doubtMs: 10_000,
  spacingMs: 1_000,
  backoff: { firstMs: 500, maxMs: 15_000 },
};
