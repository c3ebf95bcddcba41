import { randomBytes } from "node:crypto";
import { aborted, Backoff, pause } from "../backoff.ts";
import type { Gate } from "../gate.ts";
import type { Container } from "../pod/pod.ts";
import type { ProcessLedger } from "../process-ledger.ts";
import { StartFailed } from "./container-process.ts";
import { crashBackoffMs, longRunMs, unknownEnd } from "./container-rules.ts";
import { ContainerRun, type PreparedContainer } from "./container-run.ts";
import type { ContainerRole, ContainerSnapshot, TerminatedState } from "./container-snapshot.ts";
import type { GraceDeadline } from "./grace-deadline.ts";
import type { ImageProblem } from "./images.ts";
import { terminationMessage } from "./termination-message.ts";

/** Makes a container ready to start, or says why its image cannot be used. */
export type Prepare = (restartCount: number) => Promise<PreparedContainer | { readonly imageProblem: ImageProblem }>;

/** What a runner is made of. */
export interface ContainerRunnerOptions {
  readonly container: Container;
  readonly role: ContainerRole;
  readonly restarts: "Always" | "OnFailure" | "Never";
  readonly firstReason: string;
  readonly prepare: Prepare;
  readonly gate: Gate;
  readonly ledger: ProcessLedger;
  /** Told whenever the snapshot differs from before. */
  readonly onChange: (snapshot: ContainerSnapshot) => void;
}

/**
 * One container of a pod, through all its restarts.
 *
 *     waiting ──prepared──► running ──exit──► terminated ──policy: again──► waiting (CrashLoopBackOff) ─┐
 *        ▲                                        │                                                     │
 *        └────────────────────────────────────────┼─────────────────────────────────────────────────────┘
 *                                                 └──policy: enough, or stopped──► the end
 */
export class ContainerRunner {
  readonly name: string;
  readonly role: ContainerRole;
  readonly #options: ContainerRunnerOptions;
  readonly #stopping = new AbortController();
  readonly #started = Promise.withResolvers<void>();
  #deadline: GraceDeadline | undefined;
  #run: ContainerRun | undefined;
  #endReason: string | undefined;
  #snapshot: ContainerSnapshot;

  constructor(options: ContainerRunnerOptions) {
    const { container, role } = options;
    this.name = container.name;
    this.role = role;
    this.#options = options;
    this.#snapshot = {
      name: container.name,
      role,
      image: container.image,
      state: { kind: "waiting", reason: options.firstReason },
      lastState: undefined,
      restartCount: 0,
      isStarted: false,
      isReady: false,
      containerId: undefined,
    };
  }

  /** What the pod's status says about this container now. */
  get snapshot(): ContainerSnapshot {
    return this.#snapshot;
  }

  /** Resolves when the container has started for the first time, its startup probe included. */
  get started(): Promise<void> {
    return this.#started.promise;
  }

  /** Runs the container until it has ended for good. */
  async run(): Promise<void> {
    const backoff = new Backoff(...crashBackoffMs);
    let crashes = 0;
    while (!this.#stopping.signal.aborted) {
      const prepared = await this.#prepared();
      if (prepared === undefined) return;
      const startedAtMs = performance.now();
      const end = await this.#runOnce(prepared);
      if (this.#stopping.signal.aborted || !this.#restartsAfter(end.exitCode)) return;
      if (performance.now() - startedAtMs > longRunMs) {
        backoff.reset();
        crashes = 0;
      }
      if (crashes > 0) await this.#backOff(backoff.next(), end);
      if (this.#stopping.signal.aborted) return;
      crashes += 1;
      this.#change({ restartCount: this.#snapshot.restartCount + 1, lastState: end });
    }
  }

  /** Asks the container to end: preStop hook, SIGTERM, and SIGKILL at the deadline. Makes `run` return. */
  stop(deadline: GraceDeadline): void {
    if (this.#stopping.signal.aborted) return;
    this.#deadline = deadline;
    this.#stopping.abort();
  }

  /** Sends a signal to the container's first process, from outside: the container does not know why. */
  signal(signal: NodeJS.Signals): void {
    this.#run?.signal(signal);
  }

  /** Sends a signal to all of the container's processes. */
  signalAll(signal: NodeJS.Signals): void {
    this.#run?.signalAll(signal);
  }

  /** Kills the container as the kernel does when memory runs out. */
  oomKill(): void {
    this.#endReason = "OOMKilled";
    this.#run?.signalAll("SIGKILL");
  }

  /** Settles the state of a container that will not run any more: what it was last, or that nobody knows. */
  abandon(): void {
    if (this.#snapshot.state.kind !== "terminated") this.#change({ state: this.#snapshot.lastState ?? unknownEnd });
  }

  async #prepared(): Promise<PreparedContainer | undefined> {
    const { signal } = this.#stopping;
    const backoff = new Backoff(10_000, 300_000);
    while (!signal.aborted) {
      await this.#options.gate.pass();
      try {
        const prepared = await this.#options.prepare(this.#snapshot.restartCount);
        if (signal.aborted) return undefined;
        if (!("imageProblem" in prepared)) return prepared;
        await this.#waitForImage(prepared.imageProblem, backoff.next());
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error);
        this.#change({ state: { kind: "waiting", reason: "CreateContainerConfigError", message } });
        await pause(2_000, signal);
      }
    }
    return undefined;
  }

  async #waitForImage({ reasons, message }: ImageProblem, waitMs: number): Promise<void> {
    const [first, then] = reasons;
    this.#change({ state: { kind: "waiting", reason: first, message } });
    await pause(1_000, this.#stopping.signal);
    const text = then === first ? message : `Back-off pulling image "${this.#snapshot.image}": ${first}: ${message}`;
    this.#change({ state: { kind: "waiting", reason: then, message: text } });
    await pause(waitMs - 1_000, this.#stopping.signal);
  }

  async #runOnce(prepared: PreparedContainer): Promise<TerminatedState> {
    const startedAt = now();
    const containerId = `process-node://${randomBytes(32).toString("hex")}`;
    this.#endReason = undefined;
    const { exitCode, failure } = await this.#exitOf(prepared, { startedAt, containerId });
    const reason = failure === undefined ? (this.#endReason ?? (exitCode === 0 ? "Completed" : "Error")) : "StartError";
    const message = failure ?? (await this.#message(prepared, exitCode));
    await this.#options.gate.pass();
    const finishedAt = now();
    const state = { kind: "terminated", reason, exitCode, message, startedAt, finishedAt, containerId } as const;
    this.#change({ state, containerId, isStarted: false, isReady: this.role === "init" && exitCode === 0 });
    return state;
  }

  async #exitOf(
    prepared: PreparedContainer,
    { startedAt, containerId }: { startedAt: string; containerId: string },
  ): Promise<{ exitCode: number; failure?: string }> {
    const { container, gate, ledger } = this.#options;
    const ended = new AbortController();
    try {
      const run = new ContainerRun({
        container,
        prepared,
        gate,
        ledger,
        onStarted: () => {
          this.#change({ isStarted: true });
          this.#started.resolve();
        },
        onReady: (isReady) => this.#change({ isReady: isReady && this.role !== "init" }),
      });
      this.#run = run;
      this.#change({ state: { kind: "running", startedAt }, containerId });
      void aborted(AbortSignal.any([this.#stopping.signal, ended.signal])).then(() => {
        if (!ended.signal.aborted && this.#deadline !== undefined) return run.end(this.#deadline);
      });
      return { exitCode: await run.exited };
    } catch (error) {
      if (error instanceof StartFailed) return { exitCode: 128, failure: error.message };
      throw error;
    } finally {
      ended.abort();
      this.#run = undefined;
    }
  }

  async #backOff(waitMs: number, end: TerminatedState): Promise<void> {
    const message = `back-off ${Math.round(waitMs / 1_000)}s restarting failed container=${this.name}`;
    this.#change({ state: { kind: "waiting", reason: "CrashLoopBackOff", message }, lastState: end });
    await pause(waitMs, this.#stopping.signal);
  }

  #restartsAfter(exitCode: number): boolean {
    const { restarts } = this.#options;
    return restarts === "Always" || (restarts === "OnFailure" && exitCode !== 0);
  }

  async #message(prepared: PreparedContainer, exitCode: number): Promise<string> {
    const wantsLog = this.#options.container.terminationMessagePolicy === "FallbackToLogsOnError";
    return terminationMessage({
      messagePath: prepared.messagePath,
      logPath: prepared.launch.logPath,
      fallsBackToLog: wantsLog && exitCode !== 0,
    });
  }

  #change(change: Partial<ContainerSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...change };
    this.#options.onChange(this.#snapshot);
  }
}

function now(): string {
  return new Date().toISOString().replace(/\.\d+/, "");
}
