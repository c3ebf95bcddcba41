import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { endMarked } from "../processes/marked-processes.ts";
import { identify, isAlive, type ProcessIdentity } from "../processes/process-identity.ts";

const Entry = z.object({ pid: z.int(), startTime: z.string() });
const markerName = "TRAININGRUN_PROCESS_NODE";
const open = new Set<ProcessLedger>();
const killAllOpen = () => {
  for (const ledger of open) ledger.killAll();
};

/** Where a node's record of its processes is, in the node's directory. */
export function processesDirectory(nodeDirectory: string): string {
  return join(nodeDirectory, "processes");
}

/**
 * Sees to it that no container outlives its node. Every container's process group is on record, in memory and on disk:
 *
 * - this process exits, or dies of a signal that nobody else handles: the groups are killed on the way out;
 * - this process is killed: the next node in the same directory ends what is on record, and on Linux also what it finds
 *   to carry this directory's mark in its environment, such as children of a container whose first process is gone.
 */
export class ProcessLedger {
  readonly #directory: string;
  readonly #groups = new Set<number>();

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Ends what an earlier node left in this directory, and starts a record of our own. */
  static async open(directory: string): Promise<ProcessLedger> {
    mkdirSync(directory, { recursive: true });
    const ledger = new ProcessLedger(directory);
    for (const identity of ledger.#recorded()) {
      if (isAlive(identity)) signalGroup(identity.pid, "SIGKILL");
    }
    await ledger.#endMarked();
    for (const name of readdirSync(directory)) rmSync(join(directory, name));
    if (open.size === 0) watchOurEnd();
    open.add(ledger);
    return ledger;
  }

  /** What every process of this node carries in its environment. */
  get mark(): Readonly<Record<string, string>> {
    return { [markerName]: this.#directory };
  }

  /** Puts a process that leads its own group on record. */
  add(pid: number): void {
    this.#groups.add(pid);
    const identity = identify(pid);
    if (identity !== undefined) writeFileSync(join(this.#directory, String(pid)), JSON.stringify(identity));
  }

  /** Takes a process that has ended off the record, with whatever it left running in its group. */
  remove(pid: number): void {
    signalGroup(pid, "SIGKILL");
    this.#groups.delete(pid);
    rmSync(join(this.#directory, String(pid)), { force: true });
  }

  /** Kills every group on record, at once. */
  killAll(): void {
    for (const pid of this.#groups) signalGroup(pid, "SIGKILL");
  }

  /** Kills everything that is left and closes the record. */
  async close(): Promise<void> {
    this.killAll();
    await this.#endMarked();
    open.delete(this);
    if (open.size === 0) stopWatchingOurEnd();
  }

  #recorded(): ProcessIdentity[] {
    return readdirSync(this.#directory).flatMap((name) => {
      try {
        return [Entry.parse(JSON.parse(readFileSync(join(this.#directory, name), "utf8")))];
      } catch {
        // Half a record: the node died while it wrote it. On Linux the mark finds the process all the same.
        return [];
      }
    });
  }

  async #endMarked(): Promise<void> {
    await endMarked({ name: markerName, value: this.#directory });
  }
}

/** Sends a signal to a whole process group; one that is gone is left alone. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  signalIfThere(process.platform === "win32" ? pid : -pid, signal);
}

/** Sends a signal to one process; one that is gone is left alone. */
export function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

const fatalSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

function watchOurEnd(): void {
  process.on("exit", killAllOpen);
  for (const signal of fatalSignals) process.on(signal, onFatalSignal);
}

function stopWatchingOurEnd(): void {
  process.off("exit", killAllOpen);
  for (const signal of fatalSignals) process.off(signal, onFatalSignal);
}

function onFatalSignal(signal: NodeJS.Signals): void {
  // A program that handles the signal itself stops its nodes in order, or exits. For any other we do what would have
  // happened without this listener, after the containers are dead.
  if (process.listenerCount(signal) > 1) return;
  killAllOpen();
  stopWatchingOurEnd();
  process.kill(process.pid, signal);
}
