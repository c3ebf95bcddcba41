import { open, readFile, rm } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import { identify, isAlive, type ProcessIdentity } from "./process-identity.ts";

/** How long to wait for a lock, and whom to tell about the wait. */
export interface LockOptions {
  readonly timeoutMs: number;
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal;
}

/**
 * Does `work` while no other process does work under the same lock file. A lock whose holder is dead is taken over;
 * two that take it over at the same instant may both work, so `work` must be safe, only wasteful, when done twice.
 *
 * @throws {Error} when the lock is still held by a living process after `timeoutMs`.
 */
export async function withLock<Result>(
  path: string,
  options: LockOptions,
  work: () => Promise<Result>,
): Promise<Result> {
  const end = performance.now() + options.timeoutMs;
  let told = false;
  while (!(await tryLock(path))) {
    const holder = await readHolder(path);
    if (holder === undefined || !isAlive(holder)) {
      await rm(path, { force: true });
      continue;
    }
    if (!told) options.report(`Waiting for process ${holder.pid}, which holds ${path}`);
    told = true;
    if (performance.now() > end) {
      throw new Error(`Cannot lock ${path}: process ${holder.pid} has held it for ${options.timeoutMs / 1000} s`);
    }
    await delay(500, undefined, { signal: options.signal });
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function tryLock(path: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(JSON.stringify(identify(process.pid)));
    await file.close();
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

async function readHolder(path: string): Promise<ProcessIdentity | undefined> {
  // A holder that has made the file writes its name at once; an empty file after that is what a crash left.
  for (let attempt = 0; attempt < 5; attempt += 1) {
    const holder = parseHolder(await readFile(path, "utf8").catch(() => ""));
    if (holder !== undefined) return holder;
    await delay(50);
  }
  return undefined;
}

function parseHolder(text: string): ProcessIdentity | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("pid" in value) || !("startTime" in value)) return undefined;
    const { pid, startTime } = value;
    return typeof pid === "number" && typeof startTime === "string" ? { pid, startTime } : undefined;
  } catch {
    return undefined;
  }
}
