/** How a training process ends. */
export const exitCodes = {
  done: 0,
  crashed: 1,
  /** The checkpoint is whole, and this script cannot continue it. */
  incompatible: 3,
  /** A newer attempt holds the run's log: nothing of this process counts any more. */
  fenced: 4,
  /** A signal asked for the end: 128 + SIGTERM, as a shell would report it. */
  preempted: 143,
} as const;
