import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { buildAgent } from "../build.ts";
import { podVariables } from "./sample.ts";

const bundle = mkdtempSync(join(tmpdir(), "agent-bundle-"));

/** Builds the program as it ships, for the tests of one file; removed by {@link removeAgent}. */
export async function buildAgentOnce(): Promise<void> {
  await buildAgent(bundle);
}

export function removeAgent(): void {
  rmSync(bundle, { recursive: true, force: true });
}

/** The directories of one pod, and its agent as a process of its own, as the kubelet would run it. */
export class Pod implements AsyncDisposable {
  readonly root: string;
  readonly variables: Record<string, string>;
  readonly #running = new Set<AgentProcess>();

  /** A pod with its own directories; `over` changes variables. A volume outlives its pods: name it to share it. */
  constructor(over: Record<string, string> = {}) {
    this.root = mkdtempSync(join(tmpdir(), "agent-pod-"));
    this.variables = podVariables(this.root, { TRAININGRUN_POD_IP: ownAddress(), ...over });
    for (const name of ["TRAININGRUN_CHECKPOINTS", "TRAININGRUN_CONTROL"]) {
      mkdirSync(String(this.variables[name]), { recursive: true });
    }
  }

  /** Starts the program with a command, such as `serve`, in this pod. */
  start(command: string): AgentProcess {
    const agent = new AgentProcess(command, this.variables);
    this.#running.add(agent);
    return agent;
  }

  /** What lies at `name` below the pod's own directory. */
  read(name: string): string {
    return readFileSync(join(this.root, name), "utf8");
  }

  /** Takes away what lies at `name` below the pod's own directory. */
  remove(name: string): void {
    rmSync(join(this.root, name));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#running) await agent.end("SIGKILL");
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** One process of the agent. */
export class AgentProcess {
  readonly #child: ChildProcess;
  readonly #variables: Record<string, string>;
  readonly #exited: Promise<number | null>;
  output = "";

  constructor(command: string, variables: Record<string, string>) {
    this.#variables = variables;
    this.#child = spawn(process.execPath, [join(bundle, "agent.cjs"), command], {
      env: { PATH: String(process.env.PATH), ...variables },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
      });
    }
    this.#exited = new Promise((resolve) => this.#child.once("exit", (code) => resolve(code)));
  }

  /** The most memory that the process has had at once, in bytes. */
  peakMemory(): number {
    const status = readFileSync(`/proc/${this.#child.pid}/status`, "utf8");
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  /** Waits for the end; null is an end by a signal. */
  exit(): Promise<number | null> {
    return this.#exited;
  }

  /** Holds the process while `work` is done, so that it finds all of it at once. */
  async held(work: () => Promise<void>): Promise<void> {
    this.#child.kill("SIGSTOP");
    try {
      await work();
    } finally {
      this.#child.kill("SIGCONT");
    }
  }

  /** Sends a signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return this.#exited;
  }

  /** The record in the termination log, which must fit the contract. */
  record(): AgentRecord {
    return AgentRecord.parse(JSON.parse(readFileSync(String(this.#variables.TRAININGRUN_TERMINATION_LOG), "utf8")));
  }

  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    return fetch(`http://${this.#variables.TRAININGRUN_POD_IP}:9464${path}`, {
      ...init,
      signal: AbortSignal.timeout(5_000),
    });
  }

  /** Asks until the state satisfies the condition; an agent that never gets there fails with what it last said. */
  async until(what: string, condition: (state: AgentState) => boolean): Promise<AgentState> {
    const { TRAININGRUN_UID: run, TRAININGRUN_POD_UID: pod } = this.#variables;
    let last = "nothing yet";
    for (const deadline = performance.now() + 45_000; performance.now() < deadline; ) {
      try {
        const response = await this.fetch(`/v1/state?run=${run}&pod=${pod}`);
        last = await response.text();
        const state = AgentState.parse(JSON.parse(last));
        if (condition(state)) return state;
      } catch (error) {
        if (this.#child.exitCode !== null)
          throw new Error(`The agent ended before ${what}: ${this.output}`, { cause: error });
      }
      await new Promise((resolve) => setTimeout(resolve, 25));
    }
    throw new Error(`The agent did not come to ${what}; it last said ${last}\n${this.output}`);
  }
}

let address = 0;

/** A loopback address that no other test uses, because the agent's port is fixed. */
function ownAddress(): string {
  address += 1;
  return `127.${64 + (process.pid % 128)}.${Math.trunc(process.pid / 128) % 250}.${address}`;
}
