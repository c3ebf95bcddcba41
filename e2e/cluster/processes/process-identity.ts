import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/**
 * Names one process for good. A pid alone does not: the system gives it to another process later, and ending that one
 * would end something that is not ours.
 */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it began, as the system tells it: clock ticks since boot on Linux, a date elsewhere. */
  readonly startTime: string;
}

/** The identity of a running process; undefined when there is none with that pid, or it only waits to be reaped. */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = process.platform === "linux" ? linuxStartTime(pid) : portableStartTime(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

/** Whether exactly this process still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identify(identity.pid)?.startTime === identity.startTime;
}

/**
 * Ends a process that need not be our child: SIGTERM, and SIGKILL when it has not ended within `graceMs`. Returns when
 * it is gone; a process that does not run any more is left alone.
 *
 * @throws {Error} when it is still there ten seconds after SIGKILL.
 */
export async function endProcess(identity: ProcessIdentity, graceMs: number): Promise<void> {
  signalIfAlive(identity, "SIGTERM");
  if (await isGoneWithin(identity, graceMs)) return;
  signalIfAlive(identity, "SIGKILL");
  if (await isGoneWithin(identity, 10_000)) return;
  throw new Error(`Cannot end process ${identity.pid}: it is still there ten seconds after SIGKILL`);
}

/** Sends a signal to this process, and to nothing that took its pid since. */
export function signalIfAlive(identity: ProcessIdentity, signal: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  try {
    process.kill(identity.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

async function isGoneWithin(identity: ProcessIdentity, limitMs: number): Promise<boolean> {
  const end = performance.now() + limitMs;
  while (isAlive(identity)) {
    if (performance.now() >= end) return false;
    await delay(20);
  }
  return true;
}

function linuxStartTime(pid: number): string | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined;
  }
  // The name in parentheses may itself hold spaces and parentheses, so fields are counted from the last one.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, startTime] = [fields[0], fields[19]];
  return state === "Z" || state === "X" ? undefined : startTime;
}

function portableStartTime(pid: number): string | undefined {
  try {
    const started = execFileSync("ps", ["-o", "lstart=", "-p", String(pid)], { encoding: "utf8" }).trim();
    return started === "" ? undefined : started;
  } catch {
    return undefined;
  }
}
