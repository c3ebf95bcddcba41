/** Where waits begin, how far they grow, and where randomness comes from. */
export type BackoffOptions = Readonly<{ firstMs: number; maxMs: number; random: () => number }>;

/**
 * How long to wait after so many failures in a row (1 for the first): doubled each time up to the limit, then
 * drawn from its upper half, so that those who failed together do not return together.
 */
export function backoffMs(failures: number, options: BackoffOptions): number {
  const doubled = options.firstMs * 2 ** Math.min(failures - 1, 30);
  const longest = Math.min(doubled, options.maxMs);
  return longest / 2 + (options.random() * longest) / 2;
}
