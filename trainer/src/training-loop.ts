import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { Interval } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import type { ResumeReport } from "@trainingrun/checkpoint/contract/resume.ts";
import type { Cursor } from "./batches.ts";
import { type BestPolicy, type BestState, recordEvaluation, shouldStopEarly } from "./best.ts";
import { describeInterval, type IntervalInput, saveIsDue } from "./interval.ts";
import type { Learner } from "./learner.ts";
import { fromMetrics, type MetricValues, requireMetrics, toMetrics } from "./metric-values.ts";
import type { Pacer } from "./pacer.ts";
import type { ProgressFile } from "./progress-file.ts";
import { Random } from "./random.ts";
import { describeSaves } from "./save-progress.ts";
import type { SaveRequest, Saver } from "./saver.ts";
import type { EventWriter } from "./tensorboard/event-writer.ts";
import type { TrainingState } from "./training-state.ts";

/** Batches with an exact cursor. */
export type BatchSource<Data> = {
  readonly cursor: Cursor;
  /** Rows drawn so far. */
  readonly samples: number;
  readonly dataset: { readonly size: number };
  /** Rows in a batch, where they all have as many. */
  readonly batchSize?: number;
  next(): Data;
  seek(cursor: Cursor): void;
};

/** An evaluation every so many steps, and after the last. It runs again after a resume that it was stopped in. */
export type Evaluation = {
  readonly steps: number;
  run(context: { step: number; signal: AbortSignal }): Promise<MetricValues> | MetricValues;
};

export type LoopParts<Data> = {
  readonly learner: Learner<Data>;
  readonly data: BatchSource<Data>;
  readonly steps: number;
  readonly every: Evaluation | undefined;
  readonly best: BestPolicy | undefined;
  readonly minStepMilliseconds: number;
  readonly interval: Interval;
  /** What may pass between the signal to stop and the process' end, and what a last save would take of it, once known. */
  readonly grace?: { readonly seconds: number; lastSaveSeconds(): number | null } | undefined;
  readonly saver: Saver;
  readonly pacer: Pacer;
  readonly progress: ProgressFile;
  readonly events: EventWriter | undefined;
  readonly signal: AbortSignal;
  readonly onStep: ((step: number, metrics: MetricValues) => void) | undefined;
  /** Told of every step and the loss before its update, as soon as the update is done. */
  readonly afterStep?: ((step: number, loss: number) => void) | undefined;
  /** What there is to say of how the checkpoint was taken up; null where there was none. */
  readonly resumeReport?: (() => ResumeReport | null) | undefined;
};

/** Why a loop trains no more; `fenced` where a newer attempt holds the log. */
export type LoopOutcome = "finished" | "stopped" | "fenced";

/** Weighs as one attempt of this length, so that the first seconds of a run do not look like a storm of interruptions. */
const presumedSeconds = 1800;

/** Training between two steps: everything that state.json holds, and how to go on from it. */
export class TrainingLoop<Data> {
  readonly #parts: LoopParts<Data>;
  readonly #before: { readonly trainedSeconds: number; readonly attempts: number };
  readonly #startedAtMs = performance.now();
  readonly #random: Random;
  #step: number;
  #metrics: MetricValues;
  /** Those that were measured at this very step. */
  #measured: MetricValues;
  #evaluatedStep: number;
  #outdated: Digest | null = null;
  #best: BestState | null;
  #savedAtMs = performance.now();
  /** Looked up when a save has ended: a part of it is read from a file. */
  #lastSaveSeconds: number | null = null;
  #stepsHere = 0;
  #firstStep: { step: number; time: string } | null = null;
  #phase: "Training" | "Finishing" = "Training";

  /** Goes on from `state`, or starts at step 0 with `seed`. The learner and the data must stand there already. */
  constructor(parts: LoopParts<Data>, start: { state: TrainingState } | { seed: number }) {
    this.#parts = parts;
    const state = "state" in start ? start.state : null;
    this.#random = new Random("state" in start ? start.state.random : { seed: start.seed, counter: 0 });
    this.#step = state?.step ?? 0;
    this.#metrics = fromMetrics(state?.metrics ?? []);
    const { loss } = this.#metrics;
    this.#measured = loss === undefined ? {} : { loss };
    this.#evaluatedStep = state?.evaluatedStep ?? 0;
    this.#best = state?.best ?? null;
    this.#before = { trainedSeconds: state?.trainedSeconds ?? 0, attempts: state?.attempts ?? 0 };
  }

  get step(): number {
    return this.#step;
  }

  get metrics(): MetricValues {
    return this.#metrics;
  }

  /** The checkpoint of the present step that lacks what has been evaluated since; null where there is none. */
  get outdated(): Digest | null {
    return this.#outdated;
  }

  /** Trains until the last step, an early stop or a stop request, whichever comes first. */
  async run(): Promise<LoopOutcome> {
    const outcome = await this.#train();
    this.#phase = "Finishing";
    return outcome;
  }

  async #train(): Promise<LoopOutcome> {
    const { steps, signal, saver, progress } = this.#parts;
    await this.#evaluateAnew();
    while (this.#step < steps && !this.#stopsEarly()) {
      // On a volume that is this pod's own no save ever meets the attempt that holds the log: the agent hears of it.
      if (saver.fence !== null || progress.isFenced(performance.now())) return "fenced";
      if (signal.aborted) return "stopped";
      const stepMs = await this.#oneStep();
      this.#saveIfDue();
      progress.update(performance.now(), () => this.progress());
      await this.#yield(stepMs);
    }
    return this.#evaluatedStep < this.#step && this.#isEvaluationStep() && signal.aborted ? "stopped" : "finished";
  }

  /** What a checkpoint of this instant is made of. */
  saveRequest(): Required<SaveRequest> {
    const snapshot = this.#parts.learner.snapshot();
    const state: TrainingState = {
      version: 1,
      step: this.#step,
      random: this.#random.state,
      cursor: this.#parts.data.cursor,
      datasetSize: this.#parts.data.dataset.size,
      optimizer: snapshot.optimizer,
      metrics: toMetrics(this.#metrics),
      evaluatedStep: this.#evaluatedStep,
      best: this.#best,
      trainedSeconds: this.#before.trainedSeconds + this.#seconds(),
      attempts: this.#before.attempts + 1,
    };
    return { state, snapshot, metrics: toMetrics(this.#measured) };
  }

  progress(): Progress {
    const { data, saver, steps, learner } = this.#parts;
    const report = this.#parts.resumeReport?.() ?? null;
    const stepsPerSecond = this.#stepsHere / Math.max(0.001, this.#seconds());
    const interval = describeInterval(this.#parts.interval, { ...this.#intervalInput(), stepsPerSecond });
    return {
      version: 1,
      step: this.#step,
      targetStep: steps,
      phase: this.#phase,
      epoch: data.samples / data.dataset.size,
      samples: data.samples,
      metrics: toMetrics(this.#metrics),
      stepsPerSecond,
      ...(this.#firstStep === null ? {} : { firstStep: this.#firstStep }),
      saves: describeSaves(saver, performance.now()),
      ...(interval === null ? {} : { interval }),
      backend: learner.backend,
      ...(report === null ? {} : { resume: report }),
      time: new Date().toISOString(),
    };
  }

  async #oneStep(): Promise<number> {
    const began = performance.now();
    const { learner, data, progress, events, saver, onStep, afterStep } = this.#parts;
    const loss = learner.step(data.next(), { step: this.#step, random: this.#random });
    this.#step += 1;
    this.#stepsHere += 1;
    this.#metrics = { ...this.#metrics, loss };
    this.#measured = { loss };
    afterStep?.(this.#step, loss);
    events?.loss(this.#step, loss);
    if (this.#firstStep === null) {
      this.#firstStep = { step: this.#step, time: new Date().toISOString() };
      progress.write(performance.now(), this.progress());
      saver.prepare();
    }
    const evaluatingSince = performance.now();
    await this.#evaluateIfDue();
    // A save has gone on meanwhile: it has no share in that time to make up for.
    const evaluatedMs = performance.now() - evaluatingSince;
    onStep?.(this.#step, this.#metrics);
    return performance.now() - began - evaluatedMs;
  }

  /** A stop can have come between a step and its evaluation: then the checkpoint of that step lacks what it measures. */
  async #evaluateAnew(): Promise<void> {
    const { saver, progress, steps } = this.#parts;
    const before = this.#evaluatedStep;
    await this.#evaluateIfDue();
    if (this.#evaluatedStep === before) return;
    this.#outdated = saver.last?.digest ?? null;
    // The last step is saved again when the loop is through. Another attempt saved it before, so the name is free.
    if (this.#step < steps && !progress.savingPaused()) this.#save();
  }

  async #evaluateIfDue(): Promise<void> {
    const { every, signal, best, events, pacer, progress, steps } = this.#parts;
    if (every === undefined || !this.#isEvaluationStep() || this.#evaluatedStep === this.#step || signal.aborted)
      return;
    // Whoever watches for stalls must know meanwhile that no further step is to come.
    if (this.#step >= steps) progress.write(performance.now(), this.progress());
    const metrics = await pacer.during(() => every.run({ step: this.#step, signal }));
    // Stopped in the middle, it saw only part of the data: the next attempt runs it anew.
    if (signal.aborted) return;
    const all = { ...this.#metrics, ...metrics };
    requireMetrics(all);
    this.#metrics = all;
    this.#measured = { ...this.#measured, ...metrics };
    this.#evaluatedStep = this.#step;
    events?.evaluation(this.#step, metrics);
    if (best !== undefined) this.#best = recordEvaluation(best, this.#best, { step: this.#step, metrics });
  }

  #isEvaluationStep(): boolean {
    const { every, steps } = this.#parts;
    return every !== undefined && this.#step > 0 && (this.#step % every.steps === 0 || this.#step >= steps);
  }

  #stopsEarly(): boolean {
    const { best } = this.#parts;
    return best !== undefined && shouldStopEarly(best, this.#best);
  }

  #saveIfDue(): void {
    const { saver, interval, progress } = this.#parts;
    const now = performance.now();
    // A call to the volume that never returns must not be the end of all saving.
    saver.leaveStuck();
    const secondsSinceSave = (now - this.#savedAtMs) / 1000;
    const isDue = saveIsDue(interval, { step: this.#step, secondsSinceSave, ...this.#intervalInput() });
    // No later save could carry what this evaluation measured, and `best` would never lead to what it measured it of.
    const isBest = this.#best?.step === this.#step;
    const due = isDue || isBest;
    const requested = progress.saveRequested(now);
    if (!due && !requested) return;
    // One that somebody asks for is made in spite of a pause.
    if (saver.inFlight !== null || (!requested && progress.savingPaused())) {
      if (due) {
        saver.skip();
        this.#savedAtMs = now;
      }
      return;
    }
    if (requested) progress.acceptSaveRequest();
    this.#savedAtMs = now;
    this.#save();
  }

  #intervalInput(): IntervalInput {
    const { saver, grace } = this.#parts;
    const { committed, lastSeconds } = saver.counts;
    const trained = this.#before.trainedSeconds + this.#seconds() + presumedSeconds;
    return {
      meanSecondsBetweenInterruptions: trained / (this.#before.attempts + 1),
      stallSeconds: saver.stalls.meanSeconds,
      saveSeconds: committed === 0 ? null : lastSeconds,
      lastSaveSeconds: this.#lastSaveSeconds,
      graceSeconds: grace?.seconds ?? 0,
    };
  }

  #save(): void {
    const { saver, progress, events, grace } = this.#parts;
    void events?.flush();
    const sinceMs = performance.now();
    const { done } = saver.begin(this.saveRequest(), sinceMs);
    void done.then(() => {
      this.#lastSaveSeconds = grace?.lastSaveSeconds() ?? null;
      progress.write(performance.now(), this.progress());
    });
  }

  async #yield(stepMs: number): Promise<void> {
    const { pacer, minStepMilliseconds, signal } = this.#parts;
    const began = performance.now();
    await pacer.between(stepMs, signal);
    const rest = minStepMilliseconds - stepMs - (performance.now() - began);
    if (rest > 0) await pacer.pause(rest, signal);
  }

  #seconds(): number {
    return (performance.now() - this.#startedAtMs) / 1000;
  }
}
