import type { Digest, Metric } from "@trainingrun/checkpoint/contract/digest.ts";
import { type KnownOfSave, savePatienceSeconds } from "@trainingrun/checkpoint/contract/save-patience.ts";
import { parseSavingName } from "@trainingrun/checkpoint/directory-name.ts";
import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { inFileOrder } from "@trainingrun/checkpoint/safetensors/write.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { exitDespite } from "./exit-despite.ts";
import type { HeldTensor, Snapshot } from "./learner.ts";
import type { Missing, Pacer } from "./pacer.ts";
import { Drain } from "./saving/drain.ts";
import { FlightTime } from "./saving/flight-time.ts";
import type { SaveOutcome } from "./saving/protocol.ts";
import { slabsFor } from "./saving/slab.ts";
import { StallRecord, type StallSummary } from "./saving/stall-record.ts";
import type { StartWriter } from "./saving/start-writer.ts";
import { WriterLink } from "./saving/writer-link.ts";
import { optimizerFile, type TrainingState, weightsFile } from "./training-state.ts";

/** What every checkpoint of this process has in common. */
export type SaverContext = {
  readonly store: Store;
  /** Who writes to that store. */
  readonly writer: StartWriter;
  readonly attempt: number;
  /** The checkpoint that this attempt resumed from, and the tensors that held NaN or infinity at its start. */
  readonly parent: Digest | null;
  readonly nonFiniteBefore: readonly string[];
  readonly environment: unknown;
  readonly pacer: Pacer;
  /** Told of each commit; must not throw. */
  readonly afterCommit?: ((checkpoint: CommittedCheckpoint) => void) | undefined;
};

/** A checkpoint that has just been committed; `directory` is its name under `data/`. */
export type CommittedCheckpoint = { readonly digest: Digest; readonly directory: string };

/** One checkpoint to be: a snapshot and what state.json says of the same instant. */
export type SaveRequest = {
  readonly state: TrainingState;
  readonly snapshot: Snapshot;
  /** What was measured at this very step, for manifest and log; state.json holds the newest value of every metric. */
  readonly metrics?: readonly Metric[];
};

/** What saving cost so far; the save that is going on is not in it. */
export type SaveCounts = {
  readonly committed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly lastSeconds: number;
  readonly lastBytes: number;
};

/** A save that is going on. `done` never rejects: it is null where the save failed, and `fence` says if for good. */
export type InFlight = {
  readonly step: number;
  readonly bytes: number;
  readonly remainingBytes: number;
  /** For how long it has been going on. */
  readonly time: FlightTime;
  readonly done: Promise<Saved | null>;
  abandon(): void;
};
export type Saved = { readonly step: number; readonly digest: Digest };

/** What a save that is going on has cost this thread: all of its copying, and what training waited for. */
type Cost = { copyMs: number; stallMs: number };

/** A call that does not return holds one of the four threads that all file work of a process shares: some must stay free. */
const mostLeft = 2;

/**
 * Saves checkpoints, one at a time, while training goes on. This thread only takes references at a step's end and copies
 * values out between steps; a writer hashes, writes and commits.
 */
export class Saver {
  readonly #context: SaverContext;
  readonly #stalls = new StallRecord();
  #link: WriterLink | null = null;
  #counts: SaveCounts = { committed: 0, failed: 0, skipped: 0, lastSeconds: 0, lastBytes: 0 };
  #inFlight: InFlight | null = null;
  /** Leaves the save in flight to itself; null while there is none, and once that is done. */
  #leave: ((why: string) => void) | null = null;
  /** Saves that were left, and whose writer has not come back yet. */
  #left = 0;
  #last: Saved | null;
  #bytesPerSecond: number | null = null;
  #fence: FencedError | null = null;

  constructor(context: SaverContext, last: Saved | null) {
    this.#context = context;
    this.#last = last;
  }

  get counts(): SaveCounts {
    return this.#counts;
  }

  /** What the saves that have ended held the training up for. */
  get stalls(): StallSummary {
    return this.#stalls.summary;
  }

  get inFlight(): InFlight | null {
    return this.#inFlight;
  }

  /** The newest commit: of this process, or the one it resumed from. */
  get last(): Saved | null {
    return this.#last;
  }

  /** How fast a save is that need not wait for training; null before the first save. */
  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond;
  }

  /** A newer attempt holds the log: nothing that this process does counts any more. */
  get fence(): FencedError | null {
    return this.#fence;
  }

  /** Starts the writer ahead of the first save, which would have to wait for it. */
  prepare(): void {
    this.#writer();
  }

  /** A save that was due while another is in flight, or saving paused, is dropped: the next one holds its steps as well. */
  skip(): void {
    this.#counts = { ...this.#counts, skipped: this.#counts.skipped + 1 };
  }

  /**
   * Begins a save, which holds training up since `sinceMs`. Each tensor of the snapshot is released when it is copied or
   * the save has ended, whichever comes first.
   */
  begin({ state, snapshot, metrics = [] }: SaveRequest, sinceMs = performance.now()): InFlight {
    if (this.#inFlight !== null) {
      throw new Error(`Cannot save step ${state.step} because step ${this.#inFlight.step} is being saved.`);
    }
    const { pacer, attempt, parent, environment, nonFiniteBefore } = this.#context;
    const link = this.#writer();
    const files = [inFileOrder(snapshot.weights), inFileOrder(snapshot.optimizerTensors)] as const;
    const bytes = files.flat().reduce((sum, tensor) => sum + tensor.bytes, 0);
    link.prepare(slabsFor(bytes, files.length));
    const outcome = link.save({
      attempt,
      step: state.step,
      parent,
      metrics,
      state,
      environment,
      nonFiniteBefore,
      tensorFiles: [
        { path: weightsFile, tensors: files[0].map(layoutOf) },
        { path: optimizerFile, tensors: files[1].map(layoutOf) },
      ],
    });
    const drain = new Drain(files, link);
    const cost: Cost = { copyMs: 0, stallMs: 0 };
    const leaving = Promise.withResolvers<SaveOutcome>();
    let why: string | null = null;
    const abandon = (reason: string): void => {
      why ??= reason;
      drain.stop();
      link.abandon(why);
    };
    this.#leave = (reason) => {
      console.error(
        `The save of step ${state.step} is left to itself, and the next has a writer of its own: ${reason}.`,
      );
      abandon(reason);
      leaving.resolve({ kind: "failed", message: reason });
      void this.#awaitReturn(link, { outcome, step: state.step });
    };
    exitDespite(outcome);
    const ending = Promise.race([outcome, leaving.promise]);
    this.#inFlight = {
      step: state.step,
      bytes,
      get remainingBytes() {
        return Math.max(0, bytes - link.writtenBytes);
      },
      time: new FlightTime(sinceMs, () => link.writtenBytes),
      done: this.#finish(ending, { step: state.step, beganMs: sinceMs, cost, wanted: () => why === null }).finally(
        () => {
          drain.stop();
          this.#inFlight = null;
          this.#leave = null;
        },
      ),
      abandon: () => abandon("a newer save has the time that is left"),
    };
    pacer.attend({
      advance: (untilMs) => this.#advance(untilMs, { drain, cost, abandon }),
      get isStarved() {
        return link.isIdle;
      },
      waited: (milliseconds) => {
        cost.stallMs += milliseconds;
      },
    });
    cost.stallMs += performance.now() - sinceMs;
    return this.#inFlight;
  }

  /**
   * Leaves the save in flight to itself, which ends it here with nothing. The next one has a writer of its own: a call that
   * does not return is no reason to save nothing any more. The writer that is left takes away what it has written when its
   * call returns, and commits nothing then, unless the commit is the very call that hangs.
   */
  leave(why: string): void {
    const leave = this.#leave;
    this.#leave = null;
    leave?.(why);
  }

  /**
   * Leaves the save in flight where nothing of it has moved for `patience`. Asked often; false where it stays, because it moves or
   * because too many hang already, as they do on a volume that answers nobody.
   */
  leaveStuck(patience: (save: KnownOfSave) => number = savePatienceSeconds): boolean {
    if (this.#inFlight === null || this.#leave === null || this.#left >= mostLeft) return false;
    const { time, bytes } = this.#inFlight;
    const seconds = patience({ ...this.#counts, bytes });
    if (time.idleSecondsAt(performance.now()) < seconds) return false;
    this.leave(`nothing of it has moved for ${seconds} s; look at the volume and its mount`);
    return true;
  }

  /** Ends the writer. What it is writing is lost, and nothing of it will ever be seen. */
  async close(): Promise<void> {
    await this.#link?.close();
  }

  /** Waits for a writer that was left. Its commit may have been the call that hung. */
  async #awaitReturn(
    link: WriterLink,
    { outcome, step }: { outcome: Promise<SaveOutcome>; step: number },
  ): Promise<void> {
    this.#link = null;
    this.#left += 1;
    link.letProcessEnd();
    const late = await outcome;
    this.#left -= 1;
    if (late.kind === "fenced") this.#fence = new FencedError(late.message, late.by);
    if (late.kind === "saved" && step > (this.#last?.step ?? 0)) {
      this.#last = { step, digest: late.digest };
      this.#context.afterCommit?.(late);
    }
    await link.close();
  }

  #writer(): WriterLink {
    if (this.#link?.isUp !== true) {
      this.#link = new WriterLink(this.#context.writer, { onSlab: () => this.#context.pacer.wake() });
    }
    return this.#link;
  }

  #advance(
    untilMs: number,
    { drain, cost, abandon }: { drain: Drain; cost: Cost; abandon: (why: string) => void },
  ): Missing {
    const beganMs = performance.now();
    try {
      return drain.advance(untilMs);
    } catch (error) {
      console.error("Cannot copy a tensor's values out of the backend, so this save is abandoned:", error);
      abandon("a tensor's values could not be read");
      return "nothing";
    } finally {
      const took = performance.now() - beganMs;
      cost.copyMs += took;
      if (!this.#context.pacer.isFree) cost.stallMs += took;
    }
  }

  async #finish(
    ending: Promise<SaveOutcome>,
    { step, beganMs, cost, wanted }: { step: number; beganMs: number; cost: Cost; wanted: () => boolean },
  ): Promise<Saved | null> {
    const outcome = await ending;
    this.#context.pacer.attend(null);
    this.#stalls.add(cost.stallMs / 1000);
    if (outcome.kind !== "saved") {
      if (outcome.kind === "fenced") this.#fence = new FencedError(outcome.message, outcome.by);
      else if (wanted()) console.error(`Saving step ${step} failed; training goes on: ${outcome.message}`);
      this.#count({ failed: this.#counts.failed + 1 });
      if (this.#link?.isUp === false) await this.#removeUnfinished();
      return null;
    }
    const { digest, directory, bytes, busySeconds } = outcome;
    const lastSeconds = (performance.now() - beganMs) / 1000;
    this.#bytesPerSecond = bytes / Math.max(0.001, busySeconds + cost.copyMs / 1000);
    this.#last = { step, digest };
    this.#count({ committed: this.#counts.committed + 1, lastSeconds, lastBytes: bytes });
    this.#context.afterCommit?.({ digest, directory });
    return this.#last;
  }

  /** What a writer that is gone was writing: nobody reads it, but it takes the room of the next save. */
  async #removeUnfinished(): Promise<void> {
    const { store, attempt } = this.#context;
    try {
      const names = await store.names();
      for (const name of names.filter((one) => parseSavingName(one)?.attempt === attempt)) await store.remove(name);
    } catch (error) {
      console.error("Half a checkpoint stays on the volume until the next attempt begins:", error);
    }
  }

  #count(change: Partial<SaveCounts>): void {
    this.#counts = { ...this.#counts, ...change };
  }
}

/** What the writer must know of a tensor; the rest are functions, which stay in this thread. */
function layoutOf({ name, dtype, shape }: HeldTensor) {
  return { name, dtype, shape: [...shape] };
}
