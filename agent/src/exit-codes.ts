/** How the program ends. A stop that the kubelet asked for is no failure of `serve`. */
export const exitCodes = {
  served: 0,
  restoreFailed: 1,
  deleteFailed: 1,
  cannotStart: 2,
  cannotListen: 3,
  /** Another pod holds the log: nothing that this one does counts any more. The trainer ends with the same code. */
  fenced: 4,
  /** An error that nothing foresaw; its trace is in the container's log. */
  defect: 70,
  /** `restore` was told to stop before its `open`, or `delete` before its end: 128 + SIGTERM, as a shell would report it. */
  stopped: 143,
} as const;
