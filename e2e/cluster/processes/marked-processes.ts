import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { identify, isAlive, type ProcessIdentity, signalIfAlive } from "./process-identity.ts";

/** A variable that a process and all that it starts carry in their environment: whose they are, for whoever must end them. */
export type Mark = Readonly<{ name: string; value: string }>;

const limitMs = 10_000;

/** The processes that carry a mark. Linux only: elsewhere none is found. */
export function findMarked({ name, value }: Mark): ProcessIdentity[] {
  if (process.platform !== "linux") return [];
  const assignment = `${name}=${value}`;
  return readdirSync("/proc")
    .filter((entry) => /^\d+$/.test(entry) && Number(entry) !== process.pid && hasVariable(entry, assignment))
    .flatMap((entry) => identify(Number(entry)) ?? []);
}

/**
 * Kills every process that carries a mark, also those that are started meanwhile, and returns when none is left.
 *
 * @throws {Error} when some are still there after ten seconds.
 */
export async function endMarked(mark: Mark): Promise<void> {
  const end = performance.now() + limitMs;
  for (;;) {
    const found = findMarked(mark);
    if (found.length === 0) return;
    for (const identity of found) signalIfAlive(identity, "SIGKILL");
    if (performance.now() > end) {
      const pids = found.filter(isAlive).map(({ pid }) => pid);
      throw new Error(`Cannot end processes ${pids.join(", ")} of ${mark.value}: they do not die of SIGKILL`);
    }
    await delay(20);
  }
}

function hasVariable(pid: string, assignment: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").includes(assignment);
  } catch {
    // Gone since, or another user's: not ours in either case.
    return false;
  }
}
