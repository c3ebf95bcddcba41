import type { ReflectorState } from "../kubernetes/reflector.ts";

/** What is looked at of a watch; times are of the monotonic clock, in milliseconds. */
export type WatchHealth = Readonly<{
  about: string;
  state: ReflectorState;
  hasSynced: boolean;
  blindSince: number | undefined;
  staleSince: number | undefined;
}>;

/** Whether the process works. A server that is away is no fault of it: it must be waited for, not restarted. */
export function healthFaults(
  seen: Readonly<{ watches: readonly WatchHealth[]; longestPassMs: number; now: number }>,
): readonly string[] {
  const faults = seen.watches.flatMap(({ about, staleSince }) =>
    // Only a restart forgets the versions seen: the server's state was set back, from a backup perhaps.
    staleSince !== undefined && seen.now - staleSince > staleLimitMs
      ? [`the server has shown states of ${about} older than ones already seen for ${ago(seen.now, staleSince)}`]
      : [],
  );
  if (seen.longestPassMs > passLimitMs)
    faults.push(`a pass has taken ${Math.round(seen.longestPassMs / 1000)} s and may be stuck`);
  return faults;
}

/** Whether the process sees the cluster as it is, or did a minute ago. */
export function readyFaults(seen: Readonly<{ watches: readonly WatchHealth[]; now: number }>): readonly string[] {
  return seen.watches.flatMap(({ about, hasSynced, blindSince, state }) => {
    if (!hasSynced) return [`${about} has not been listed yet`];
    if (blindSince === undefined || seen.now - blindSince <= blindLimitMs) return [];
    return [`${about} has not been watched for ${ago(seen.now, blindSince)} (${state})`];
  });
}

/** What is to be known of a process that is ready: the namespaces that it may not see, and why. */
export function unservedNotes(refused: ReadonlyMap<string, string>): readonly string[] {
  return [...refused].map(([namespace, words]) => `the runs of namespace ${namespace} are not served: ${words}`);
}

const blindLimitMs = 60_000;
const staleLimitMs = 5 * 60_000;
const passLimitMs = 10 * 60_000;

function ago(now: number, since: number): string {
  return `${Math.round((now - since) / 1000)} s`;
}
