import { type ChildProcess, spawn } from "node:child_process";

/** How a rung's program is run. */
export type RungProcessOptions = Readonly<{
  env?: Readonly<Record<string, string>>;
  /** After this it is ended. */
  limitMs: number;
  /** Ends it early. */
  signal: AbortSignal;
}>;

const graceMs = 10_000;

/**
 * Runs a program to its end, its output shown as it comes, and resolves with its exit code (1 for an end by a signal). It runs
 * in a session of its own: Ctrl-C reaches only us, and we end it with all that it started and then say what came of it.
 */
export function runRungProcess(
  program: string,
  args: readonly string[],
  { env, limitMs, signal }: RungProcessOptions,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ["ignore", "inherit", "inherit"],
      env: { ...process.env, ...env },
      detached: true,
    });
    const end = () => endGroup(child);
    const limit = setTimeout(() => {
      console.log(`${program} is ended: it ran for more than ${Math.round(limitMs / 1000)} s`);
      end();
    }, limitMs);
    const settle = () => {
      clearTimeout(limit);
      signal.removeEventListener("abort", end);
    };
    child.once("error", (cause) => {
      settle();
      reject(new Error(`Cannot run ${program}: ${cause.message}`, { cause }));
    });
    child.once("exit", (code) => {
      settle();
      resolve(code ?? 1);
    });
    if (signal.aborted) end();
    else signal.addEventListener("abort", end, { once: true });
  });
}

/** SIGTERM to the program and all that it started in its session, and SIGKILL where that was not enough. */
function endGroup(child: ChildProcess): void {
  signalGroup(child, "SIGTERM");
  const kill = setTimeout(() => signalGroup(child, "SIGKILL"), graceMs);
  // What outlives its leader is still in the group.
  child.once("exit", () => {
    clearTimeout(kill);
    signalGroup(child, "SIGKILL");
  });
}

function signalGroup({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch (error) {
    // Nobody is left in the group.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
