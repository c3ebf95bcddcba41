import { join } from "node:path";
import { readControlFile } from "@trainingrun/agent/control-directory.ts";
import { readEnvironment } from "@trainingrun/agent/environment.ts";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { loadCheckpoint } from "@trainingrun/checkpoint/load.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import type { SimProcess } from "../../host/process.ts";
import type { History } from "../../judge/history.ts";
import type { RunScenario } from "../../plan/scenario.ts";
import type { ContainerProgram, ContainerStart, ProgramEnd } from "../cluster/program.ts";
import type { Facts } from "../facts.ts";
import type { Meetings } from "../gang/meetings.ts";
import { type Agreed, alone, PeerLostError, type Team, type Word } from "../gang/team.ts";
import { savingAt } from "./save-moment.ts";
import { TrainerPlace } from "./trainer-place.ts";
import { TrainerRecords } from "./trainer-records.ts";
import { TrainerSaver } from "./trainer-saver.ts";
import { firstWeights, nextWeights, shareIn, type Weights } from "./weights.ts";

/** As the trainer of the SDK ends. */
const exitCodes = { done: 0, crashed: 1, fenced: 4, preempted: 143 } as const;
const pollMs = 50;
const longestPollMs = 1_000;
const lastSavePatienceMs = 10 * 60_000;
/** Beyond its own step, a worker that was asked to stop gives the others so long to come to the same one. */
const partingMs = 2_000;
/** In so many gangs, a worker that is done waits for the others' sake until somebody ends it, as some libraries do. */
const lingeringShare = 0.15;
const longestLingerMs = 30 * 60_000;

/**
 * The program of a model trainer. It speaks the contract as the SDK does, and loads and saves by the library itself; what
 * it learns is a chain of hashes. The workers of a gang do each step together, and save and stop at the same one.
 */
export function trainerProgram(role: TrainerRole): ContainerProgram {
  return async (start) => {
    const place = readEnvironment(TrainerPlace, start.variables);
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
  meetings: Meetings;
}>;

type Resume = Restored["resume"];

/** Those it trains with, and what all of them began from. */
type Peers = Readonly<{ team: Team; base: string | null }>;

/** One life of the program: wait for the restore, load, train, save, end. */
class Training {
  readonly #process: SimProcess;
  readonly #start: ContainerStart;
  readonly #role: TrainerRole;
  readonly #run: RunScenario;
  readonly #place: TrainerPlace;
  readonly #history: History;
  readonly #records: TrainerRecords;
  readonly #stopped: Promise<void>;
  /** Rejects where it was asked to stop and the others have not come to the end of their step in time. */
  readonly #parted: Promise<never>;
  #stoppedAtMs: number | null = null;
  #step = 0;
  #firstStep: { step: number; time: string } | undefined;
  #weights: Weights;

  constructor(start: ContainerStart, { place, ...role }: TrainerRole & { place: TrainerPlace }) {
    this.#start = start;
    this.#process = start.process;
    this.#role = role;
    this.#run = role.run;
    this.#place = place;
    this.#history = role.history;
    this.#records = new TrainerRecords(place);
    this.#weights = firstWeights(place.TRAININGRUN_UID, place.TRAININGRUN_WORKER);
    const { stop } = this.#process;
    this.#stopped = new Promise((resolve) => {
      if (role.run.program.onStop === "Ignores") return;
      stop.addEventListener("abort", () => {
        this.#stoppedAtMs = this.#now;
        resolve();
      });
    });
    this.#parted = this.#stopped.then(() => this.#part());
    // It is looked at only where the others are waited for.
    this.#parted.catch(() => undefined);
  }

  async run(): Promise<ProgramEnd> {
    const restored = await this.#handedOver();
    if (restored === "Failed") return exitCodes.crashed;
    if (restored === "Stopped") return this.#endEarly(null);
    const { resume } = restored;
    const saver = await this.#begin(resume);
    const team = this.#isStopped ? null : await this.#meet();
    if (team === null) return this.#endEarly(resume);
    try {
      const end = await this.#train(saver, { team, base: resume?.digest ?? null });
      if (end !== "Done" && end !== "Stopped") return end;
      if (saver.isFenced) return exitCodes.fenced;
      return end === "Done" ? await this.#endDone(saver) : await this.#endPreempted(saver);
    } catch (error) {
      if (!(error instanceof PeerLostError)) throw error;
      this.#process.print(error.message);
      return this.#endAlone(saver);
    }
  }

  /** Takes up what it is to go on from, and makes ready to save. */
  async #begin(resume: Resume): Promise<TrainerSaver> {
    const { TRAININGRUN_CHECKPOINTS: root, TRAININGRUN_UID: runUid, TRAININGRUN_ATTEMPT: attempt } = this.#place;
    const { TRAININGRUN_WORKER: worker, TRAININGRUN_WORKERS: workers } = this.#place;
    const store = await openDirectoryStore(root, { runUid });
    await this.#takeUp(resume);
    const { part, store: name } = this.#start;
    const duration = this.#process.row("how long saves take");
    return new TrainerSaver({
      ...{ store, runUid, attempt, worker, workers },
      resumed: resume === null ? null : { step: resume.step, digest: resume.digest },
      pace: () => this.#process.later(this.#run.saveMs * duration.next()),
      onSaving: (saving) => this.#role.facts.saving(part, saving),
      onSaved: (saved) => {
        this.#history.note({ kind: "Acknowledged", ...part, store: name, ...saved });
      },
    });
  }

  /** Those that it trains with; null where it was asked to stop before they were found. */
  async #meet(): Promise<Team | null> {
    const { TRAININGRUN_NAMESPACE: namespace, gang } = this.#place;
    if (gang === null) return alone;
    return this.#role.meetings.meet({ ...gang, namespace, process: this.#process }, this.#stopped);
  }

  async #part(): Promise<never> {
    await this.#process.later(2 * this.#run.stepMs + partingMs);
    throw new PeerLostError("Cannot finish the step because the others have not come to its end");
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
    this.#weights = await shareIn(await loadCheckpoint(directory, { digest }), part.worker);
    this.#step = step;
    this.#history.note({ kind: "Loaded", ...part, step, digest, content: this.#weights });
  }

  /** Trains until the target, a stop, a fence, or an end of the program's own, which it returns. */
  async #train(saver: TrainerSaver, peers: Peers): Promise<ProgramEnd | "Done" | "Stopped"> {
    const { targetStep, program } = this.#run;
    while (this.#step < targetStep && !saver.isFenced) {
      const agreed = await this.#doStep(saver, peers);
      if (agreed === null) return program.onStop === "ExitsZero" ? exitCodes.done : "Stopped";
      await this.#tell(saver);
      if (this.#mustCrash()) return { planned: exitCodes.crashed };
      if (agreed.stops) return "Stopped";
      if (agreed.saves) saver.begin(this.#weights, this.#step, { isHeldUp: agreed.isBusy });
    }
    return "Done";
  }

  /**
   * Does one step; null where it leaves in its midst. One of a gang that saves when it is asked to stop ends the step first,
   * so that all stop at the same one.
   */
  async #doStep(saver: TrainerSaver, { team, base }: Peers): Promise<Agreed | null> {
    const { stepMs, program } = this.#run;
    await Promise.race([this.#process.later(stepMs), this.#stopped]);
    if (this.#isStopped && (team === alone || program.onStop !== "Saves")) return null;
    const step = this.#step + 1;
    const word: Word = {
      ...{ step, weights: this.#weights, base, stops: this.#isStopped, isBusy: saver.isBusy },
      saving: savingAt(step, { place: this.#place, run: this.#run, files: this.#start.files }),
    };
    const agreed = await Promise.race([team.agree(word), this.#parted]);
    this.#step = step;
    this.#weights = nextWeights(this.#weights, step, agreed.all);
    this.#firstStep ??= { step, time: this.#time() };
    this.#history.note({ kind: "Stepped", ...this.#start.part, step });
    return agreed;
  }

  /** Of a gang, another worker for each step. */
  #mustCrash(): boolean {
    const { crashesAt, poison } = this.#run.program;
    const { crashed } = this.#role;
    if (this.#step % this.#place.TRAININGRUN_WORKERS !== this.#place.TRAININGRUN_WORKER) return false;
    const isDue = crashesAt.includes(this.#step) && !crashed.has(this.#step);
    if (isDue) crashed.add(this.#step);
    return isDue || poison === this.#step;
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

  /** The run is done: the last step is saved, however often that has to be tried. Worker 0 says so for all. */
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
    if (this.#place.TRAININGRUN_WORKER > 0) return this.#linger();
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
    return this.#isStopped ? exitCodes.preempted : { byPeer: exitCodes.preempted };
  }

  async #linger(): Promise<ProgramEnd> {
    const { TRAININGRUN_UID: runUid } = this.#place;
    const lingers = this.#process.scheduler.chance.draw("lingers", runUid, 0) < lingeringShare;
    if (lingers) await Promise.race([this.#process.later(longestLingerMs), this.#stopped]);
    return exitCodes.done;
  }

  /** The others are gone: what was saved before has to do. */
  async #endAlone(saver: TrainerSaver): Promise<ProgramEnd> {
    if (!this.#isStopped) return { byPeer: exitCodes.crashed };
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
