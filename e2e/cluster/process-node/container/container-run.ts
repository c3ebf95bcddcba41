import { aborted } from "../backoff.ts";
import type { Gate } from "../gate.ts";
import type { Container } from "../pod/pod.ts";
import type { ProcessLedger } from "../process-ledger.ts";
import { ContainerProcess, type Launch } from "./container-process.ts";
import type { GraceDeadline } from "./grace-deadline.ts";
import { type HandlerTarget, runHandler } from "./handlers.ts";
import { keepProbing } from "./probing.ts";

/** A container that can be started, and what surrounds it. */
export interface PreparedContainer {
  readonly launch: Launch;
  readonly target: HandlerTarget;
  readonly messagePath: string;
}

/** What one run needs, and whom it tells. */
export interface ContainerRunOptions {
  readonly container: Container;
  readonly prepared: PreparedContainer;
  readonly gate: Gate;
  readonly ledger: ProcessLedger;
  /** The postStart hook is through and the startup probe, if any, has succeeded. */
  readonly onStarted: () => void;
  readonly onReady: (isReady: boolean) => void;
}

const unhealthyGraceMs = 30_000;

/** One run of a container: from its process's start to its end, with the hooks and probes between. */
export class ContainerRun {
  readonly #options: ContainerRunOptions;
  readonly #process: ContainerProcess;
  readonly #ended = new AbortController();

  /** @throws {StartFailed} when the program cannot be started. */
  constructor(options: ContainerRunOptions) {
    this.#options = options;
    this.#process = ContainerProcess.start(options.prepared.launch, options.ledger);
    void this.#process.exited.then(() => this.#ended.abort());
    void this.#greet();
  }

  /** Resolves with the exit code when the container has ended. */
  get exited(): Promise<number> {
    return this.#process.exited;
  }

  /** Signals the first process alone. */
  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  /** Signals all processes. */
  signalAll(signal: NodeJS.Signals): void {
    this.#process.signalAll(signal);
  }

  /** The orderly end: preStop hook, SIGTERM, and SIGKILL at the deadline. */
  async end(deadline: GraceDeadline): Promise<void> {
    const { container, prepared } = this.#options;
    const { preStop } = container.lifecycle;
    const limit = AbortSignal.any([deadline.expired, this.#ended.signal]);
    if (preStop !== undefined && !limit.aborted) await runHandler(preStop, prepared.target, limit);
    await this.#terminate(deadline.expired);
  }

  async #terminate(expired: AbortSignal): Promise<void> {
    await this.#options.gate.pass();
    this.#process.signal("SIGTERM");
    await Promise.race([this.#process.exited, aborted(expired)]);
    await this.#options.gate.pass();
    this.#process.signalAll("SIGKILL");
  }

  async #greet(): Promise<void> {
    const { lifecycle, startupProbe } = this.#options.container;
    const { target } = this.#options.prepared;
    if (lifecycle.postStart !== undefined && !(await runHandler(lifecycle.postStart, target, this.#ended.signal))) {
      this.#process.signalAll("SIGKILL");
      return;
    }
    if (startupProbe === undefined) {
      // Not within the constructor: whoever is told may want to use this run.
      await Promise.resolve();
      this.#serve();
      return;
    }
    const settled = new AbortController();
    await keepProbing({
      probe: startupProbe,
      target,
      gate: this.#options.gate,
      signal: AbortSignal.any([this.#ended.signal, settled.signal]),
      onVerdict: (isGood) => {
        settled.abort();
        if (isGood) this.#serve();
        else void this.#terminate(AbortSignal.timeout(unhealthyGraceMs));
      },
    });
  }

  #serve(): void {
    if (this.#ended.signal.aborted) return;
    const { container, prepared, gate, onStarted, onReady } = this.#options;
    const common = { target: prepared.target, gate, signal: this.#ended.signal };
    onStarted();
    if (container.readinessProbe === undefined) onReady(true);
    else void keepProbing({ ...common, probe: container.readinessProbe, onVerdict: onReady });
    if (container.livenessProbe === undefined) return;
    const onVerdict = (isGood: boolean) => {
      if (!isGood) void this.#terminate(AbortSignal.timeout(unhealthyGraceMs));
    };
    void keepProbing({ ...common, probe: container.livenessProbe, onVerdict });
  }
}
