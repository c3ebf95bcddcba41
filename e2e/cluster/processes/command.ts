import { spawn } from "node:child_process";
import { lastLines } from "./log-tail.ts";

/** A command ended with another exit code than 0, or was ended by a signal or its time limit. */
export class CommandFailed extends Error {
  override readonly name = "CommandFailed";
}

/** How to run one command. */
export interface CommandOptions {
  readonly input?: string;
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** After this the command is killed. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
  /** Called with every piece of output as it comes, for builds that take minutes. */
  readonly onOutput?: (text: string) => void;
}

const defaultTimeoutMs = 60_000;
const keptErrorLines = 15;

/**
 * Runs a command to its end and returns what it wrote to standard output.
 *
 * @throws {CommandFailed} with the last lines of what it wrote when it does not exit with 0 in time.
 */
export async function run(command: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  const limit = AbortSignal.timeout(timeoutMs);
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ["pipe", "pipe", "pipe"],
    signal: options.signal === undefined ? limit : AbortSignal.any([options.signal, limit]),
    killSignal: "SIGKILL",
  });
  let output = "";
  let everything = "";
  const collect = (text: string) => {
    everything += text;
    options.onOutput?.(text);
  };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
    collect(text);
  });
  child.stderr.setEncoding("utf8").on("data", collect);
  // A command that ends without reading its input closes the pipe under us; its exit code tells the story.
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  const ending = await new Promise<string | undefined>((resolve) => {
    child.once("error", (error) =>
      resolve(limit.aborted ? `it ran for more than ${timeoutMs / 1000} s` : describeStart(error)),
    );
    child.once("close", (code, killedBy) => resolve(code === 0 ? undefined : `it ended with ${killedBy ?? code}`));
  });
  options.signal?.throwIfAborted();
  if (ending !== undefined) {
    const shown = [command, ...args].join(" ");
    throw new CommandFailed(`Cannot run \`${shown}\`: ${ending}\n${lastLines(everything, keptErrorLines)}`);
  }
  return output;
}

function describeStart(error: Error): string {
  if (!("code" in error && error.code === "ENOENT")) return error.message;
  return "there is no such command here; `make setup` installs what is missing on Debian";
}

/** Whether a command exists on PATH and answers with exit code 0. */
export async function succeeds(
  command: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<boolean> {
  try {
    await run(command, args, options);
    return true;
  } catch (error) {
    if (error instanceof CommandFailed) return false;
    throw error;
  }
}
