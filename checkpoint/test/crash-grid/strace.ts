import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { victimProgram } from "./victim-program.ts";

const limitMs = 60_000;

/** How a victim ended: what it said, and the signal that killed it. */
export type Ended = Readonly<{ lines: readonly string[]; signal: NodeJS.Signals | null; code: number | null }>;

/** Why no victim can be traced here, or null where one can. */
export function whyNotTraced(): string | null {
  if (process.platform !== "linux") return "strace is a program of Linux";
  try {
    execFileSync("strace", ["-qq", "-e", "trace=none", "true"], { stdio: "ignore" });
  } catch {
    return "strace is not installed, or may not trace here";
  }
  const sleeper = spawn("sleep", ["10"], { stdio: "ignore" });
  try {
    // Attaching to a process that is no child needs more rights than starting one.
    execFileSync("timeout", ["0.3", "strace", "-p", String(sleeper.pid)], { stdio: ["ignore", "ignore", "pipe"] });
  } catch (error) {
    const text = error instanceof Error && "stderr" in error ? String(error.stderr) : "";
    if (!text.includes("attached")) return "strace may not be attached to a running process here";
  } finally {
    sleeper.kill("SIGKILL");
  }
  return null;
}

/** Plays a scenario in a process of its own, with a strace of these arguments attached while it plays. */
export async function playTraced(scenario: string, root: string, straceArguments: readonly string[]): Promise<Ended> {
  const limit = AbortSignal.timeout(limitMs);
  const child = spawn(process.execPath, [await victimProgram(), scenario, root], {
    stdio: ["pipe", "pipe", "inherit"],
    // strace sees nothing that goes through io_uring, and one thread keeps the calls in one order.
    env: { ...process.env, UV_USE_IO_URING: "0", UV_THREADPOOL_SIZE: "1" },
    signal: limit,
    killSignal: "SIGKILL",
  });
  const output: string[] = [];
  child.stdout.on("data", (piece) => output.push(String(piece)));
  const closed = once(child, "close");
  closed.catch(() => undefined);
  await once(child.stdout, "data", { signal: limit });
  const tracer = spawn("strace", ["-f", "-y", "-p", String(child.pid), ...straceArguments], {
    stdio: ["ignore", "ignore", "pipe"],
    signal: limit,
  });
  const traced = once(tracer, "close");
  traced.catch(() => undefined);
  try {
    await attached(tracer, limit);
    child.stdin.end("go\n");
    const [code, signal] = await closed;
    await traced;
    return { lines: output.join("").split("\n").filter(Boolean).slice(1), signal, code };
  } finally {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    if (tracer.exitCode === null && tracer.signalCode === null) tracer.kill("SIGTERM");
  }
}

/** strace says so once all threads are stopped under it; what it says before it ends otherwise is the error. */
async function attached(tracer: ChildProcess, limit: AbortSignal): Promise<void> {
  let said = "";
  tracer.stderr?.on("data", (piece) => {
    said += String(piece);
  });
  while (!/Process \d+ attached/.test(said)) {
    if (tracer.exitCode !== null) throw new Error(`Cannot trace because strace ended: ${said.slice(0, 500)}`);
    await pause(5, undefined, { signal: limit });
  }
}
