/**
 * What the last save before a pod's end takes besides its bytes, in seconds. The trainer plans with it, and the operator
 * judges the grace period by the same: what it calls sufficient is enough for the trainer to try.
 */
export const finalSaveSeconds = {
  /** Kept free for the record, the exit, and estimates that come out a little too good. */
  reserve: 0.5,
  /** Opening, fsyncs, renames, the log. */
  overhead: 0.3,
  /** The agent reads a checkpoint back before it uploads it, and stops a second before it is killed. */
  agent: 1.5,
} as const;
