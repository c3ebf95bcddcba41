import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { errorCode } from "@trainingrun/checkpoint/store/file-system.ts";
import { ObjectStoreError } from "@trainingrun/checkpoint/store/object/object-store-error.ts";
import type { Problem } from "./knowledge.ts";

/** What the agent does to the volume, and what its mirror does to the object store. */
export type Operation =
  | "read-log"
  | "verify"
  | "gather"
  | "refuse"
  | "prune"
  | "compact"
  | "done"
  | "open-store"
  | "read-store"
  | "mirror"
  | "prune-store"
  | "compact-store"
  | "done-store";

type Failure = Readonly<{ problem: Problem; failures: number; notBefore: number }>;

const firstRetryMs = 1_000;
const maxRetryMs = 60_000;

/**
 * Runs operations that may fail because the volume does: each failure is a present problem until the same operation
 * on the same thing succeeds, and is tried again with doubling pauses. Nothing that fails here ends the agent.
 */
export class Operations {
  readonly #failed = new Map<string, Failure>();
  readonly #count: (operation: Operation, reason: string) => void;
  readonly #now: () => number;

  constructor(count: (operation: Operation, reason: string) => void, now: () => number = () => performance.now()) {
    this.#count = count;
    this.#now = now;
  }

  /** The present problems, one per reason, so that ten failed files of a full volume are one problem. */
  get problems(): readonly Problem[] {
    return [...new Map([...this.#failed.values()].map(({ problem }) => [problem.reason, problem])).values()];
  }

  /** Whether the operation failed too short a time ago to be tried again. */
  pausing(operation: Operation, subject: string): boolean {
    const failed = this.#failed.get(`${operation} ${subject}`);
    return failed !== undefined && this.#now() < failed.notBefore;
  }

  /** Whether the operation failed when it was last tried. */
  isFailing(operation: Operation, subject: string): boolean {
    return this.#failed.has(`${operation} ${subject}`);
  }

  /** The work's value, or null where it failed or was told to stop. Only being fenced is thrown on. */
  async attempt<T>(operation: Operation, subject: string, work: () => Promise<T>): Promise<T | null> {
    const key = `${operation} ${subject}`;
    try {
      const value = await work();
      this.#failed.delete(key);
      return value;
    } catch (error) {
      if (error instanceof FencedError) throw error;
      if (wasStopped(error)) return null;
      const failures = (this.#failed.get(key)?.failures ?? 0) + 1;
      const pause = Math.min(maxRetryMs, firstRetryMs * 2 ** (failures - 1));
      const problem = problemOf(error);
      this.#failed.set(key, { problem, failures, notBefore: this.#now() + pause });
      this.#count(operation, problem.reason);
      // Said once, and again at the first failure after a success.
      if (failures === 1) console.error(`The agent goes on after ${operation} failed: ${problem.message}`);
      return null;
    }
  }

  /** Lets everything that is waiting for a retry be tried at once. */
  retryNow(): void {
    for (const [key, failure] of this.#failed) this.#failed.set(key, { ...failure, notBefore: this.#now() });
  }

  /** Forgets what is of no interest any more, such as a verification of a checkpoint that is gone. */
  forget(isGone: (subject: string) => boolean): void {
    for (const key of this.#failed.keys()) {
      if (isGone(key.slice(key.indexOf(" ") + 1))) this.#failed.delete(key);
    }
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOSPC: "VolumeFull",
  EDQUOT: "VolumeFull",
  EROFS: "VolumeReadOnly",
  EACCES: "VolumeForbidden",
  EPERM: "VolumeForbidden",
};

function wasStopped(error: unknown): boolean {
  if (error instanceof ObjectStoreError) return error.problem === "Stopped";
  return error instanceof Error && error.name === "AbortError";
}

/** A problem by the store's own word or the system error at the root of it, else by the name of the error. */
function problemOf(error: unknown): Problem {
  const message = error instanceof Error ? error.message : String(error);
  for (let cause = error, depth = 0; cause instanceof Error && depth < 8; cause = cause.cause, depth += 1) {
    if (cause instanceof ObjectStoreError) return { reason: cause.problem, message };
    const reason = reasons[errorCode(cause) ?? ""];
    if (reason !== undefined) return { reason, message };
  }
  const name = error instanceof Error ? error.name.replace(/Error$/, "") : "";
  return { reason: /^[A-Z][A-Za-z]{2,62}$/.test(name) ? name : "AgentFailure", message };
}
