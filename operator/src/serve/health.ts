import type { ReflectorState } from "../kubernetes/reflector.ts";

/** What is looked at of a watch; instants are of the monotonic clock, in milliseconds. */
export type WatchHealth = Readonly<{
  about: string;
  state: ReflectorState;
  hasSynced: boolean;
  /** Since when no watch has been open; undefined while one is. */
  lostAt: number | undefined;
  /** The copy holds all that was written before this instant. */
  completeAt: number;
}>;

/** What is looked at of the work: the longest pass under way, and how long ago the election's loop turned, if there is one. */
export type WorkHealth = Readonly<{ longestPassMs: number; electionTurnMs: number | undefined }>;

/** Whether the process works. A server that is away is no fault of it: it must be waited for, not restarted. */
export function healthFaults({ longestPassMs, electionTurnMs = 0 }: WorkHealth): readonly string[] {
  const faults: string[] = [];
  if (longestPassMs > passLimitMs)
    faults.push(`a pass has taken ${inSeconds(longestPassMs)}, long past its own limit, and is stuck`);
  if (electionTurnMs > turnLimitMs)
    faults.push(`the election has not got on for ${inSeconds(electionTurnMs)}, and is stuck`);
  return faults;
}

/**
 * Whether the process sees the cluster as it is. A watch that ended may take a moment to be opened again; one that is
 * open but has proved nothing for too long may be open at one end only.
 */
export function readyFaults(seen: Readonly<{ watches: readonly WatchHealth[]; now: number }>): readonly string[] {
  return seen.watches.flatMap(({ about, hasSynced, lostAt, completeAt, state }) => {
    if (!hasSynced) return [`${about} has not been listed yet`];
    const lostForMs = seen.now - (lostAt ?? seen.now);
    if (lostForMs > reconnectMs) return [`${about} has not been watched for ${inSeconds(lostForMs)} (${state})`];
    const blindForMs = seen.now - completeAt;
    if (blindForMs > blindLimitMs) return [`${about} may have missed changes for ${inSeconds(blindForMs)} (${state})`];
    return [];
  });
}

/** What is to be known of a process that is ready: the namespaces that it may not see, and why. */
export function unservedNotes(refused: ReadonlyMap<string, string>): readonly string[] {
  return [...refused].map(([namespace, words]) => `the runs of namespace ${namespace} are not served: ${words}`);
}

const reconnectMs = 5_000;
const blindLimitMs = 60_000;
/** A pass ends itself after two minutes, however slow the server is; one that does not is broken. */
const passLimitMs = 5 * 60_000;
/** The election waits for a request for 4 s at most, and for the end of a term's work for 11 s. */
const turnLimitMs = 30_000;

function inSeconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
