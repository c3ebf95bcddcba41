import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { logTail } from "./log-tail.ts";
import { identify, type ProcessIdentity } from "./process-identity.ts";

/** A long-running part of the cluster did not come up, or ended while it was needed. */
export class ComponentFailed extends Error {
  override readonly name = "ComponentFailed";
}

/** What to start. */
export interface ChildOptions {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Standard output and error are appended to this file. */
  readonly logPath: string;
}

/** A process that this one started and that must not outlive it. */
export interface Child {
  readonly name: string;
  readonly logPath: string;
  readonly identity: ProcessIdentity;
  /** How it ended ("exit code 1", "SIGKILL"); undefined while it runs. */
  ending(): string | undefined;
  /** SIGTERM, then SIGKILL after `graceMs`; returns when it is gone. Repeats are harmless. */
  stop(graceMs?: number): Promise<void>;
}

const defaultGraceMs = 5_000;
const running = new Set<ChildProcess>();
const setpriv = "/usr/bin/setpriv";
let isWatchingOurEnd = false;

/**
 * Starts a process that ends with this one, however this one ends. On Linux the kernel itself kills it when we die
 * (even by SIGKILL); elsewhere it is killed when we exit or get a signal.
 */
export function startChild(options: ChildOptions): Child {
  mkdirSync(dirname(options.logPath), { recursive: true });
  const log = openSync(options.logPath, "a");
  const [command, args] = tiedToUs(options.command, options.args);
  // In a session of its own: Ctrl-C in a terminal reaches only us, and we decide the order in which the parts end.
  const child = spawn(command, args, {
    stdio: ["ignore", log, log],
    env: { ...process.env, ...options.env },
    detached: true,
  });
  closeSync(log);
  if (child.pid === undefined) {
    child.once("error", () => {});
    throw new ComponentFailed(`Cannot start ${options.name}: ${command} cannot be executed`);
  }
  endWithUs(child);
  const identity = identify(child.pid) ?? { pid: child.pid, startTime: "" };
  let ending: string | undefined;
  child.once("exit", (code, signal) => {
    ending = signal ?? `exit code ${code}`;
    running.delete(child);
  });
  return {
    name: options.name,
    logPath: options.logPath,
    identity,
    ending: () => ending,
    stop: (graceMs = defaultGraceMs) => stop(child, graceMs),
  };
}

/**
 * Waits until `probe` is true.
 *
 * @throws {ComponentFailed} with the end of the log, when the child ends first or the time is up.
 */
export async function waitFor(
  child: Child,
  wait: { what: string; probe: () => Promise<boolean>; timeoutMs: number; signal?: AbortSignal | undefined },
): Promise<void> {
  const end = performance.now() + wait.timeoutMs;
  for (;;) {
    wait.signal?.throwIfAborted();
    const isReady = await wait.probe();
    // A child that has ended is not ready, even if something answers: another program may have its port.
    const ending = child.ending();
    if (ending === undefined && isReady) return;
    if (ending === undefined && performance.now() < end) {
      await delay(50, undefined, { signal: wait.signal });
      continue;
    }
    const reason = ending === undefined ? `nothing after ${wait.timeoutMs / 1000} s` : `it ended with ${ending}`;
    throw new ComponentFailed(
      `Cannot go on without ${child.name}: waited for ${wait.what}, but ${reason}. The end of ${child.logPath}:\n${logTail(child.logPath)}`,
    );
  }
}

async function stop(child: ChildProcess, graceMs: number): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  const kill = setTimeout(() => child.kill("SIGKILL"), graceMs);
  try {
    await exited;
  } finally {
    clearTimeout(kill);
  }
}

function tiedToUs(command: string, args: readonly string[]): [string, readonly string[]] {
  if (process.platform !== "linux" || !existsSync(setpriv)) return [command, args];
  return [setpriv, ["--pdeathsig", "KILL", "--", command, ...args]];
}

function endWithUs(child: ChildProcess): void {
  running.add(child);
  if (isWatchingOurEnd) return;
  isWatchingOurEnd = true;
  process.once("exit", killAll);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      // A program that handles the signal itself stops its parts in order. For any other we do what would have
      // happened without this listener, after the parts are dead.
      if (process.listenerCount(signal) > 0) return;
      killAll();
      process.kill(process.pid, signal);
    });
  }
}

function killAll(): void {
  for (const child of running) child.kill("SIGKILL");
}
