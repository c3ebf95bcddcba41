import type { AgentState, MirrorState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { Tier } from "@trainingrun/checkpoint/contract/digest.ts";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Operation } from "./operations.ts";

/** What only the metrics carry, beyond the agent's state. */
export type VolumeBytes = Readonly<{ checkpoints: number; size: number | null; available: number | null }>;

export type MetricsSource = () => Promise<Readonly<{ state: AgentState; volume: VolumeBytes }>>;

const phases = ["Restoring", "Serving", "Fenced", "Failed"] as const;

/**
 * The agent's Prometheus metrics. Events are counted as they happen; everything that the state already says is read
 * from it at the scrape. Labels are bounded: reasons and phases are fixed words, and the trainer's metric names are at
 * most 32, replaced as a whole at each scrape.
 */
export class AgentMetrics {
  readonly #registry = new Registry();
  readonly #source: MetricsSource;
  readonly #verified = this.#counter("checkpoints_verified_total", "Checkpoints read back and matched byte for byte.");
  readonly #verifiedBytes = this.#counter("verified_bytes_total", "Bytes read back and matched.");
  readonly #verificationSeconds = new Histogram({
    name: "trainingrun_agent_verification_seconds",
    help: "Time from the start of a verification to its verdict.",
    buckets: [0.01, 0.05, 0.25, 1, 5, 15, 60, 300, 1800],
    registers: [this.#registry],
  });
  readonly #failures = this.#labelled("verification_failures_total", "Checkpoints refused, by reason.", "reason");
  readonly #errors = this.#labelled("errors_total", "Failed storage operations, by what was attempted.", "operation");
  readonly #pruned = this.#labelled(
    "checkpoints_pruned_total",
    "Checkpoints removed by the retention policy, by tier.",
    "tier",
  );
  readonly #prunedBytes = this.#labelled("pruned_bytes_total", "Bytes removed by the retention policy.", "tier");
  readonly #mirrored = this.#counter("checkpoints_mirrored_total", "Checkpoints uploaded to the object store.");
  readonly #uploadedBytes = this.#counter("mirror_uploaded_bytes_total", "Bytes handed to the object store.");
  readonly #mirrorSeconds = new Histogram({
    name: "trainingrun_agent_mirror_seconds",
    help: "Time to upload and commit a checkpoint.",
    buckets: [0.1, 0.5, 2, 10, 30, 120, 600, 3600],
    registers: [this.#registry],
  });
  readonly #mirrorFailures = this.#labelled(
    "mirror_failures_total",
    "Failed operations on the object store, by problem.",
    "problem",
  );
  readonly #mirrorLag = this.#labelledGauge(
    "mirror_lag",
    "How far the object store is behind the newest verified checkpoint, in steps, bytes and seconds.",
    "unit",
  );
  readonly #mirrorRate = this.#gauge("mirror_bytes_per_second", "Speed of the upload under way, else of the last one.");
  readonly #mirrorStep = this.#gauge("mirror_latest_step", "Step of the newest checkpoint in the object store.");
  readonly #saves = this.#labelled("saves_total", "Saves of this pod's trainer, by result.", "result");
  readonly #stall = this.#counter("save_stall_seconds_total", "Time the training loop stood still for saving.");
  readonly #saveSeconds = this.#gauge("save_seconds", "Duration of the last save.");
  readonly #saveInFlight = this.#gauge(
    "save_in_flight_seconds",
    "For how long the present save has been going on; 0 while there is none.",
  );
  readonly #saveBytes = this.#gauge("save_bytes", "Size of the last save.");
  readonly #saveStall = this.#labelledGauge(
    "save_stall_seconds",
    "Time that the newest saves held the training loop up for, by quantile.",
    "quantile",
  );
  readonly #saveRate = this.#gauge("save_bytes_per_second", "Speed of the last save, without waiting for training.");
  readonly #latestVerified = this.#gauge("latest_verified_step", "Step of the newest verified checkpoint.");
  readonly #latestCommitted = this.#gauge("latest_committed_step", "Step of the newest committed checkpoint.");
  readonly #step = this.#gauge("step", "Last step that the trainer completed.");
  readonly #targetStep = this.#gauge("target_step", "Step at which the run is done.");
  readonly #stepsPerSecond = this.#gauge("steps_per_second", "Training speed as the trainer measures it.");
  readonly #trainerMetric = this.#labelledGauge(
    "trainer_metric",
    "Measurements of the last step, such as loss.",
    "name",
  );
  readonly #restoreSeconds = this.#gauge("restore_seconds", "Duration of this pod's restore.");
  readonly #restoreBytes = this.#gauge("restore_verified_bytes", "Bytes that this pod's restore verified.");
  readonly #restoreRefused = this.#labelledGauge(
    "restore_refused_checkpoints",
    "Candidates that this pod's restore refused, by reason.",
    "reason",
  );
  readonly #resumeStep = this.#gauge("resume_step", "Step that this attempt resumed from, 0 on a first start.");
  readonly #checkpointBytes = this.#gauge("checkpoint_bytes", "Bytes of the checkpoints on the volume.");
  readonly #volume = this.#labelledGauge("volume_bytes", "Size of the volume and what is available on it.", "kind");
  readonly #phase = this.#labelledGauge("phase", "1 for the phase the agent is in.", "phase");
  readonly #attempt = this.#gauge("attempt", "Number of the attempt this pod belongs to.");

  constructor(source: MetricsSource, labels: Readonly<{ run: string; run_namespace: string }>) {
    this.#source = source;
    this.#registry.setDefaultLabels(labels);
  }

  /** A checkpoint was read back and matched. */
  countVerified(seconds: number, bytes: number): void {
    this.#verified.inc();
    this.#verifiedBytes.inc(bytes);
    this.#verificationSeconds.observe(seconds);
  }

  /** A checkpoint was read back and refused; `reason` is one of the library's fixed words. */
  countRefused(seconds: number, reason: string): void {
    this.#failures.inc({ reason });
    this.#verificationSeconds.observe(seconds);
  }

  /** A checkpoint was removed by the retention policy. */
  countPruned(tier: Tier, bytes: number): void {
    this.#pruned.inc({ tier });
    this.#prunedBytes.inc({ tier }, bytes);
  }

  /** Bytes were handed to the object store; those of an upload that is broken off count as well. */
  countUploaded(bytes: number): void {
    this.#uploadedBytes.inc(bytes);
  }

  /** A checkpoint stands whole in the object store and its log. */
  countMirrored(seconds: number): void {
    this.#mirrored.inc();
    this.#mirrorSeconds.observe(seconds);
  }

  /** An operation of the mirror failed; `problem` is a fixed word. */
  countMirrorFailure(problem: string): void {
    this.#mirrorFailures.inc({ problem });
  }

  /** An operation on the storage failed and will be tried again. */
  countError(operation: Operation): void {
    this.#errors.inc({ operation });
  }

  /** Everything in Prometheus' text format. */
  async exposition(): Promise<{ contentType: string; text: string }> {
    const { state, volume } = await this.#source();
    this.#show(state);
    this.#showMirror(state.mirror);
    this.#showProgress(state.progress);
    this.#checkpointBytes.set(volume.checkpoints);
    if (volume.size !== null) this.#volume.set({ kind: "size" }, volume.size);
    if (volume.available !== null) this.#volume.set({ kind: "available" }, volume.available);
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #show(state: AgentState): void {
    for (const phase of phases) this.#phase.set({ phase }, phase === state.phase ? 1 : 0);
    this.#attempt.set(state.attempt);
    setOrRemove(this.#latestVerified, state.latestVerified?.step);
    setOrRemove(this.#latestCommitted, state.checkpoints[0]?.step);
    setOrRemove(this.#restoreSeconds, state.restored?.seconds);
    setOrRemove(this.#restoreBytes, state.restored?.verifiedBytes);
    this.#restoreRefused.reset();
    for (const { reason } of state.restored?.refused ?? []) this.#restoreRefused.inc({ reason });
    setOrRemove(this.#resumeStep, state.restored ? (state.restored.resume?.step ?? 0) : undefined);
  }

  #showMirror(mirror: MirrorState | null): void {
    setOrRemove(this.#mirrorStep, mirror?.latestStep ?? undefined);
    setOrRemove(this.#mirrorRate, mirror?.bytesPerSecond);
    this.#mirrorLag.reset();
    if (mirror === null) return;
    this.#mirrorLag.set({ unit: "steps" }, mirror.lagSteps);
    this.#mirrorLag.set({ unit: "bytes" }, mirror.lagBytes);
    this.#mirrorLag.set({ unit: "seconds" }, mirror.lagSeconds);
  }

  #showProgress(progress: AgentState["progress"]): void {
    this.#trainerMetric.reset();
    if (!progress) return;
    this.#step.set(progress.step);
    this.#targetStep.set(progress.targetStep);
    this.#stepsPerSecond.set(progress.stepsPerSecond);
    for (const { name, value } of progress.metrics) this.#trainerMetric.set({ name }, Number(value));
    // The trainer's own totals, which begin anew with its process: a counter reset, as Prometheus knows it.
    this.#saves.reset();
    for (const result of ["committed", "failed", "skipped"] as const)
      this.#saves.inc({ result }, progress.saves[result]);
    this.#stall.reset();
    this.#stall.inc(progress.saves.stallSeconds);
    this.#saveSeconds.set(progress.saves.lastSeconds);
    this.#saveInFlight.set(progress.saves.inFlight?.seconds ?? 0);
    this.#saveBytes.set(progress.saves.lastBytes);
    const { stallP50Seconds: p50, stallP99Seconds: p99, bytesPerSecond } = progress.saves;
    if (p50 !== undefined) this.#saveStall.set({ quantile: "0.5" }, p50);
    if (p99 !== undefined) this.#saveStall.set({ quantile: "0.99" }, p99);
    setOrRemove(this.#saveRate, bytesPerSecond);
  }

  #counter(name: string, help: string): Counter {
    return new Counter({ name: `trainingrun_agent_${name}`, help, registers: [this.#registry] });
  }

  #labelled<L extends string>(name: string, help: string, label: L): Counter<L> {
    return new Counter({ name: `trainingrun_agent_${name}`, help, labelNames: [label], registers: [this.#registry] });
  }

  #gauge(name: string, help: string): Gauge {
    return new Gauge({ name: `trainingrun_agent_${name}`, help, registers: [this.#registry] });
  }

  #labelledGauge<L extends string>(name: string, help: string, label: L): Gauge<L> {
    return new Gauge({ name: `trainingrun_agent_${name}`, help, labelNames: [label], registers: [this.#registry] });
  }
}

/** A gauge without a value is left out rather than shown as 0. */
function setOrRemove(gauge: Gauge, value: number | undefined): void {
  if (value === undefined) gauge.remove();
  else gauge.set(value);
}
