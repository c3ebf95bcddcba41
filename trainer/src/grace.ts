import type { StopRequest } from "./stop.ts";

/** When the process must have ended, on the monotonic clock in milliseconds, as far as that is known. */
export type Deadline = {
  /** The kill does not come before: the grace period from the last instant at which no signal had come. */
  readonly sureMs: number;
  /** The kill has come by then: the grace period from the instant at which the signal was heard. */
  readonly latestMs: number;
};

/** What the grace period leaves of a stop that has been heard. The API server's own count is not known in the pod. */
export function deadlineOf(
  { requestedAtMs, notBeforeMs }: Omit<StopRequest, "signal">,
  graceSeconds: number,
): Deadline {
  const heardMs = requestedAtMs ?? performance.now();
  return { sureMs: (notBeforeMs ?? heardMs) + graceSeconds * 1000, latestMs: heardMs + graceSeconds * 1000 };
}

/** The time that is left, in words: one number where step and signal were close, else the range that it lies in. */
export function describeLeft({ sureMs, latestMs }: Deadline, nowMs: number): string {
  const [sure, latest] = [sureMs, latestMs].map((atMs) => (Math.max(0, atMs - nowMs) / 1000).toFixed(1));
  return latestMs - sureMs < 1000
    ? `${sure} s`
    : `${sure} to ${latest} s (a step held the thread when the signal came)`;
}
