/** What is known of a save: how many this process made before it, what the last of them took, and how much it writes. */
export type KnownOfSave = Readonly<{ committed: number; lastSeconds: number; bytes: number }>;

/** So many times what it should take, a save may take: volumes that others use too have slow hours. */
const slack = 5;
/** What a save should write in a second, before one was measured. */
const unmeasuredBytesPerSecond = 50e6;
const leastUntilStuckSeconds = 120;
const leastPatienceSeconds = 600;

/** After so many seconds in flight a save is called stuck, and people are told. */
export function stuckAfterSeconds(save: KnownOfSave): number {
  return Math.max(leastUntilStuckSeconds, Math.ceil(slack * usualSeconds(save)));
}

/**
 * For so many seconds the last save of a finished run is tried before the attempt fails: a full volume is full until the
 * agent has pruned, or until somebody has made room. The trainer goes by it, and the agent waits at least as long before it
 * calls the end of a training a stall.
 */
export function finalSavePatienceSeconds(save: KnownOfSave): number {
  return Math.max(leastPatienceSeconds, Math.ceil(slack * usualSeconds(save)));
}

function usualSeconds({ committed, lastSeconds, bytes }: KnownOfSave): number {
  return committed > 0 ? lastSeconds : bytes / unmeasuredBytesPerSecond;
}
