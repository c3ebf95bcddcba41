import { spawn } from "node:child_process";
import { accessSync, closeSync, constants, existsSync, openSync, statSync } from "node:fs";
import { constants as systemConstants } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { type ProcessLedger, signalGroup, signalIfThere } from "../process-ledger.ts";

/** Everything a container's process is started with. */
export interface Launch {
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  /** Standard output and error go here. */
  readonly logPath: string;
}

/** The program could not be started at all. */
export class StartFailed extends Error {
  override readonly name = "StartFailed";
}

const setpriv = "/usr/bin/setpriv";

/** The first process of a container, leader of a process group that stands for the container. */
export class ContainerProcess {
  /** The exit code as a shell tells it: 128 and the signal's number for one that died of a signal. */
  readonly exited: Promise<number>;
  readonly #pid: number;
  #hasExited = false;

  private constructor(pid: number, exited: Promise<number>) {
    this.#pid = pid;
    this.exited = exited.finally(() => {
      this.#hasExited = true;
    });
  }

  /** @throws {StartFailed} when there is no such program or working directory. */
  static start(launch: Launch, ledger: ProcessLedger): ContainerProcess {
    const [program, ...args] = launch.command;
    if (program === undefined) throw new StartFailed("Cannot start the container because it has no command");
    requireStartable(program, launch);
    const log = openLog(launch.logPath);
    const [command, commandArgs] = tiedToUs(program, args);
    const child = spawn(command, commandArgs, {
      cwd: launch.workingDirectory,
      env: launch.env,
      stdio: ["ignore", log, log],
      detached: true,
    });
    closeSync(log);
    const exited = new Promise<number>((resolveExit) => {
      child.once("error", () => resolveExit(128));
      child.once("exit", (code, signal) => {
        if (child.pid !== undefined) ledger.remove(child.pid);
        resolveExit(code ?? 128 + (signal === null ? 0 : systemConstants.signals[signal]));
      });
    });
    if (child.pid === undefined) throw new StartFailed(`Cannot start the container: ${program} cannot be executed`);
    ledger.add(child.pid);
    return new ContainerProcess(child.pid, exited);
  }

  /** Signals the first process alone, as a container runtime does. */
  signal(signal: NodeJS.Signals): void {
    if (!this.#hasExited) signalIfThere(this.#pid, signal);
  }

  /** Signals all processes of the container. */
  signalAll(signal: NodeJS.Signals): void {
    if (!this.#hasExited) signalGroup(this.#pid, signal);
  }
}

function openLog(path: string): number {
  try {
    return openSync(path, "a");
  } catch (error) {
    throw new StartFailed(`Cannot start the container because its log cannot be written: ${path}`, { cause: error });
  }
}

function requireStartable(program: string, launch: Launch): void {
  if (!existsSync(launch.workingDirectory)) {
    throw new StartFailed(`Cannot start the container because there is no directory ${launch.workingDirectory}`);
  }
  const directories = (launch.env.PATH ?? "").split(delimiter);
  const places = /[\\/]/.test(program)
    ? [resolve(launch.workingDirectory, program)]
    : directories.map((directory) => join(directory, program));
  if (!places.some(isExecutable)) {
    throw new StartFailed(`exec: "${program}": executable file not found in $PATH`);
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

// On Linux the kernel itself kills the container when this process dies, even by SIGKILL.
function tiedToUs(program: string, args: readonly string[]): [string, readonly string[]] {
  if (process.platform !== "linux" || !existsSync(setpriv)) return [program, args];
  return [setpriv, ["--pdeathsig", "KILL", "--", program, ...args]];
}
