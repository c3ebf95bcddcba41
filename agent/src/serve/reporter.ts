import type { StatsFs } from "node:fs";
import { statfs } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import type { AgentState, MirrorState, StallState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { requestSave } from "../control-directory.ts";
import type { Answers } from "./http.ts";
import { type Knowledge, nothingKnown } from "./knowledge.ts";
import type { AgentMetrics, VolumeBytes } from "./metrics.ts";
import { agentState } from "./report.ts";
import { TrainerProgress } from "./trainer-progress.ts";

/** Prometheus waits for an answer, and most of it says nothing of the volume. */
const sizingMs = 1_000;

/** Answers for the agent from the newest knowledge; there from the first moment, before the restore has ended. */
export class Reporter implements Answers {
  readonly runUid: string;
  readonly podUid: string;
  readonly progress: TrainerProgress;
  /** Replaced by whoever learns more. */
  knowledge: Knowledge = nothingKnown;
  /** How far the mirror is; replaced where the run has one. */
  mirror: () => MirrorState | null = () => null;
  /** Whether the object store keeps two pods from creating one key, once that was asked; replaced where the run has one. */
  fences: () => boolean | undefined = () => undefined;
  /** The present standstill of the trainer; replaced by whoever watches for one. */
  stall: StallState | null = null;
  readonly #environment: AgentEnvironment;
  #metrics: Promise<AgentMetrics> | null = null;
  /** One at a time: on a volume that hangs each takes a thread of the few by which this process reads any file. */
  #sizing: Promise<StatsFs> | null = null;

  constructor(environment: AgentEnvironment) {
    this.#environment = environment;
    this.runUid = environment.TRAININGRUN_UID;
    this.podUid = environment.TRAININGRUN_POD_UID;
    this.progress = new TrainerProgress(environment.TRAININGRUN_CONTROL);
  }

  async state(): Promise<AgentState> {
    const progress = await this.progress.read();
    const now = { progress, mirror: this.mirror(), fences: this.fences(), stall: this.stall };
    return agentState(this.#environment, this.knowledge, now);
  }

  async metrics(): Promise<{ contentType: string; text: string }> {
    return (await this.counters()).exposition();
  }

  requestSave(): Promise<void> {
    return requestSave(this.#environment.TRAININGRUN_CONTROL);
  }

  /** The metrics, loaded at the first use: their library is not needed before training has started. */
  counters(): Promise<AgentMetrics> {
    this.#metrics ??= this.#loadMetrics();
    return this.#metrics;
  }

  async #loadMetrics(): Promise<AgentMetrics> {
    const { AgentMetrics } = await import("./metrics.ts");
    const { TRAININGRUN_NAME: run, TRAININGRUN_NAMESPACE: run_namespace } = this.#environment;
    return new AgentMetrics(async () => ({ state: await this.state(), volume: await this.#volume() }), {
      run,
      run_namespace,
    });
  }

  async #volume(): Promise<VolumeBytes> {
    const checkpoints = this.knowledge.shelf.reduce((sum, { summary }) => sum + summary.bytes, 0);
    this.#sizing ??= statfs(this.#environment.TRAININGRUN_CHECKPOINTS).finally(() => {
      this.#sizing = null;
    });
    // A volume that cannot be asked shows up among the state's problems; here the two series are left out.
    const found = await within(sizingMs, this.#sizing);
    if (found === null) return { checkpoints, size: null, available: null };
    const { bsize, blocks, bavail } = found;
    return { checkpoints, size: bsize * blocks, available: bsize * bavail };
  }
}

/** What comes of it; null where it fails, or takes longer. */
async function within<T>(milliseconds: number, work: Promise<T>): Promise<T | null> {
  const over = new AbortController();
  const late = sleep(milliseconds, null, { signal: over.signal }).catch(() => null);
  const first = await Promise.race([work.catch(() => null), late]);
  over.abort();
  return first;
}
