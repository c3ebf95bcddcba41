import { join } from "node:path";
import { readControlFile } from "@trainingrun/agent/control-directory.ts";
import { readEnvironment } from "@trainingrun/agent/environment.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { PodEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { loadCheckpoint } from "@trainingrun/checkpoint/load.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import type { SimProcess } from "../../host/process.ts";
import type { History } from "../../judge/history.ts";
import type { RunScenario } from "../../plan/scenario.ts";
import type { ContainerProgram, ContainerStart, ProgramEnd } from "../cluster/program.ts";
import type { DiskView } from "../disk/disk-view.ts";
import { FileError } from "../disk/file-error.ts";
import type { Facts } from "../facts.ts";
import { TrainerRecords } from "./trainer-records.ts";
import { TrainerSaver } from "./trainer-saver.ts";
import { firstWeights, nextWeights, type Weights, weightsIn } from "./weights.ts";

/** As the trainer of the SDK ends. */
const exitCodes = { done: 0, crashed: 1, fenced: 4, preempted: 143 } as const;
const pollMs = 50;
const longestPollMs = 1_000;
const lastSavePatienceMs = 10 * 60_000;

/**
 * The program of a model trainer. It speaks the contract as the SDK does, and loads and saves by the library itself; what
 * it learns is a chain of hashes.
 */
export function trainerProgram(role: TrainerRole): ContainerProgram {
  return async (start) => {
    const place = readEnvironment(PodEnvironment, start.variables);
    return new Training(start, { ...role, place }).run();
  };
}

/** What the trainers of a run have in common. */
export type TrainerRole = Readonly<{
  run: RunScenario;
  /** Steps at which they have crashed already: each life of the program has the memory of the ones before. */
  crashed: Set<number>;
  history: History;
  facts: Facts;
}>;

type Resume = Restored["resume"];

/** One life of the program: wait for the restore, load, train, save, end. */
class Training {
  readonly #process: SimProcess;
  readonly #start: ContainerStart;
  readonly #role: TrainerRole;
  readonly #run: RunScenario;
  readonly #place: PodEnvironment;
  readonly #history: History;
  readonly #records: TrainerRecords;
  readonly #stopped: Promise<void>;
  #stoppedAtMs: number | null = null;
  #step = 0;
  #firstStep: { step: number; time: string } | undefined;
  #weights: Weights;

  constructor(start: ContainerStart, { place, ...role }: TrainerRole & { place: PodEnvironment }) {
    this.#start = start;
    this.#process = start.process;
    this.#role = role;
    this.#run = role.run;
    this.#place = place;
    this.#history = role.history;
    this.#records = new TrainerRecords(place);
    this.#weights = firstWeights(place.TRAININGRUN_UID);
    const { stop } = this.#process;
    this.#stopped = new Promise((resolve) => {
      if (role.run.program.onStop === "Ignores") return;
      stop.addEventListener("abort", () => {
        this.#stoppedAtMs = this.#now;
        resolve();
      });
    });
  }

  async run(): Promise<ProgramEnd> {
    const restored = await this.#handedOver();
    if (restored === "Failed") return exitCodes.crashed;
    if (restored === "Stopped") return this.#endEarly(null);
    const { TRAININGRUN_CHECKPOINTS: root, TRAININGRUN_UID: runUid, TRAININGRUN_ATTEMPT: attempt } = this.#place;
    const { resume } = restored;
    const store = await openDirectoryStore(root, { runUid });
    await this.#takeUp(resume);
    const { part, store: name } = this.#start;
    const duration = this.#process.row("how long saves take");
    const saver = new TrainerSaver({
      ...{ store, runUid, attempt },
      resumed: resume === null ? null : { step: resume.step, digest: resume.digest },
      pace: () => this.#process.later(this.#run.saveMs * duration.next()),
      onSaving: (saving) => this.#role.facts.saving(part, saving),
      onSaved: (saved) => {
        this.#history.note({ kind: "Acknowledged", ...part, store: name, ...saved });
      },
    });
    if (this.#isStopped) return this.#endEarly(resume);
    const trouble = await this.#train(saver);
    if (trouble !== null) return trouble;
    if (saver.isFenced) return exitCodes.fenced;
    return this.#isStopped ? this.#endPreempted(saver) : this.#endDone(saver);
  }

  get #now(): number {
    return this.#process.scheduler.now;
  }

  get #isStopped(): boolean {
    return this.#stoppedAtMs !== null;
  }

  /** Waits for the agent's verdict. */
  async #handedOver(): Promise<Restored | "Failed" | "Stopped"> {
    const { TRAININGRUN_CONTROL: control, TRAININGRUN_ATTEMPT: attempt } = this.#place;
    for (let waitMs = pollMs; ; waitMs = Math.min(waitMs * 2, longestPollMs)) {
      const restored = await readControlFile(join(control, controlFiles.restored), Restored);
      if (restored?.attempt === attempt) return restored;
      const verdict = await readControlFile(join(control, controlFiles.restoreFailed), AgentRecord);
      if (verdict?.kind === "restore-failed" && verdict.attempt === attempt) return "Failed";
      await Promise.race([this.#process.later(waitMs), this.#stopped]);
      if (this.#isStopped) return "Stopped";
    }
  }

  async #takeUp(resume: Resume): Promise<void> {
    const { part } = this.#start;
    if (resume === null) {
      this.#history.note({ kind: "BeganFresh", ...part });
      return;
    }
    const { directory, digest, step } = resume;
    this.#weights = await weightsIn(await loadCheckpoint(directory, { digest }));
    this.#step = step;
    this.#history.note({ kind: "Loaded", ...part, step, digest, content: this.#weights });
  }

  /** Trains until the target, a stop, a fence, or a crash of the program's own, which it returns. */
  async #train(saver: TrainerSaver): Promise<ProgramEnd | null> {
    const { targetStep, stepMs, program } = this.#run;
    while (this.#step < targetStep && !saver.isFenced) {
      await Promise.race([this.#process.later(stepMs), this.#stopped]);
      if (this.#isStopped) return program.onStop === "ExitsZero" ? exitCodes.done : null;
      this.#step += 1;
      this.#weights = nextWeights(this.#weights, this.#step);
      this.#firstStep ??= { step: this.#step, time: this.#time() };
      this.#history.note({ kind: "Stepped", ...this.#start.part, step: this.#step });
      await this.#tell(saver);
      if (this.#mustCrash()) return { planned: exitCodes.crashed };
      if (this.#isSaveDue()) saver.begin(this.#weights, this.#step);
    }
    return null;
  }

  #mustCrash(): boolean {
    const { crashesAt, poison } = this.#run.program;
    const { crashed } = this.#role;
    const isDue = crashesAt.includes(this.#step) && !crashed.has(this.#step);
    if (isDue) crashed.add(this.#step);
    return isDue || poison === this.#step;
  }

  #isSaveDue(): boolean {
    const { TRAININGRUN_INTERVAL: interval, TRAININGRUN_CONTROL: control } = this.#place;
    const steps = "steps" in interval ? interval.steps : Math.ceil(secondsOf(interval) / (this.#run.stepMs / 1_000));
    const { files } = this.#start;
    if (isThere(files, join(control, controlFiles.save))) {
      files.unlink(join(control, controlFiles.save));
      return true;
    }
    if (this.#step % Math.max(1, steps) !== 0 || this.#step >= this.#run.targetStep) return false;
    return !isThere(files, join(control, controlFiles.savingPaused));
  }

  async #tell(saver: TrainerSaver): Promise<void> {
    const { committed, failed, skipped, lastSeconds, lastBytes } = saver;
    await this.#records.tell({
      version: 1,
      step: this.#step,
      targetStep: this.#run.targetStep,
      epoch: 0,
      samples: this.#step * 32,
      metrics: [],
      stepsPerSecond: 1_000 / this.#run.stepMs,
      ...(this.#firstStep === undefined ? {} : { firstStep: this.#firstStep }),
      saves: { committed, failed, skipped, lastSeconds, lastBytes, stallSeconds: 0 },
      backend: "model",
      time: this.#time(),
    });
  }

  /** The run is done: the last step is saved, however often that has to be tried. */
  async #endDone(saver: TrainerSaver): Promise<ProgramEnd> {
    const untilMs = this.#now + lastSavePatienceMs;
    for (let waitMs = 100; !(await saver.finish(this.#weights, this.#step)); waitMs = Math.min(waitMs * 2, 15_000)) {
      if (saver.isFenced) return exitCodes.fenced;
      if (this.#now + waitMs > untilMs) return exitCodes.crashed;
      await Promise.race([this.#process.later(waitMs), this.#stopped]);
      if (this.#isStopped) return this.#endPreempted(saver);
    }
    const { last } = saver;
    if (last === null) return exitCodes.crashed;
    await this.#records.leave({
      kind: "done",
      attempt: this.#place.TRAININGRUN_ATTEMPT,
      step: this.#step,
      checkpoint: last.digest,
      weights: this.#weights,
      metrics: [],
    });
    return exitCodes.done;
  }

  /** First what stands if nothing more can be done, then the save, then what came of it. */
  async #endPreempted(saver: TrainerSaver): Promise<ProgramEnd> {
    await this.#leavePreempted(saver.last);
    if (this.#step > 0) await saver.finish(this.#weights, this.#step);
    if (saver.isFenced) return exitCodes.fenced;
    await this.#leavePreempted(saver.last);
    return exitCodes.preempted;
  }

  async #endEarly(resume: Resume): Promise<ProgramEnd> {
    this.#step = resume?.step ?? 0;
    await this.#leavePreempted(resume);
    return exitCodes.preempted;
  }

  async #leavePreempted(saved: { step: number; digest: string } | null): Promise<void> {
    const isSaved = saved?.step === this.#step;
    await this.#records.leave({
      kind: "preempted",
      attempt: this.#place.TRAININGRUN_ATTEMPT,
      step: this.#step,
      finalCheckpoint: isSaved ? "Saved" : this.#step === 0 ? "NotAttempted" : "TimedOut",
      checkpoint: isSaved ? saved.digest : null,
      graceUsedSeconds: (this.#now - (this.#stoppedAtMs ?? this.#now)) / 1_000,
    });
  }

  /** The instant by the clock of its node. */
  #time(): string {
    const { scheduler, skewMs } = this.#process;
    return new Date(scheduler.epochMs + this.#now + skewMs).toISOString();
  }
}

function secondsOf(interval: Exclude<PodEnvironment["TRAININGRUN_INTERVAL"], { steps: number }>): number {
  return "seconds" in interval ? interval.seconds : interval.auto.maxSeconds;
}

function isThere(files: DiskView, path: string): boolean {
  try {
    files.stat(path);
    return true;
  } catch (error) {
    if (error instanceof FileError) return false;
    throw error;
  }
}
