import type { TerminatedState } from "./container-snapshot.ts";

/** How long a kubelet waits before it starts a crashed container anew: first, and at most. */
export const crashBackoffMs = [10_000, 300_000] as const;

/** After a run of so long, a crash is a first one again. */
export const longRunMs = 600_000;

/** What a kubelet says of the end of a container of which it knows nothing. */
export const unknownEnd = {
  kind: "terminated",
  reason: "ContainerStatusUnknown",
  message: "The container could not be located when the pod was terminated",
  exitCode: 137,
  startedAt: "",
  finishedAt: "",
  containerId: "",
} as const satisfies TerminatedState;
