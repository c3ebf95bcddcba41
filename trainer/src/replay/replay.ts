import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { ReplayVerdict } from "@trainingrun/checkpoint/contract/resume.ts";
import { parseDirectoryName } from "@trainingrun/checkpoint/directory-name.ts";
import { describeReplay, ReplayCheck } from "./replay-check.ts";
import { ReplayJournal } from "./replay-journal.ts";
import { type Followed, ReplayRecorder } from "./replay-recorder.ts";
import { findRecording } from "./replay-recordings.ts";
import { bitsOf, type ReplayStep } from "./replay-step.ts";

/** What recording and comparing need of a run. */
export type ReplayParts = {
  /** `resume.replaySteps`, above 0. */
  readonly steps: number;
  /** The run's own directory: it holds `log/` and `data/`. */
  readonly checkpoints: string;
  readonly attempt: number;
  /** What the attempt resumed from. */
  readonly base: Followed | null;
  /** Digest over the present weights. It reads them all, so it is asked for only where a step is recorded or compared. */
  readonly weights: () => Digest;
  /** A line for the person who watches. */
  readonly report: (text: string) => void;
};

/**
 * The replay check: loss and weights of the first steps after each checkpoint are recorded, and when an attempt that
 * resumed from that checkpoint computes these steps again, it says whether they came out the same. What differs is
 * reported and stops nothing: which of two results is the right one, no comparison knows.
 */
export class Replay {
  readonly #parts: ReplayParts;
  readonly #recorder: ReplayRecorder;
  readonly #journal: ReplayJournal;
  readonly #check: ReplayCheck | null;
  #said: ReplayVerdict["result"] | null = null;

  private constructor(parts: ReplayParts, check: ReplayCheck | null) {
    this.#parts = parts;
    this.#check = check;
    this.#journal = new ReplayJournal(parts.checkpoints, parts.report);
    const { steps, attempt, base } = parts;
    this.#recorder = new ReplayRecorder({ steps, attempt, sink: this.#journal }, base);
  }

  /** Looks up what is on record of the steps to come. */
  static async start(parts: ReplayParts): Promise<Replay> {
    const { base, checkpoints: root, steps, report } = parts;
    if (base === null) return new Replay(parts, null);
    const { steps: recorded, unreadable } = await findRecording(root, base, { steps, report });
    const check = new ReplayCheck({ asked: steps, recorded, unreadable });
    const replay = new Replay(parts, check);
    if (check.isDone) replay.#say(check.verdict);
    return replay;
  }

  /** Null where the attempt resumed from nothing. */
  get verdict(): ReplayVerdict | null {
    return this.#check?.verdict ?? null;
  }

  /** A checkpoint of this attempt stands in the log; `directory` is its name. */
  committed({ digest, directory }: { digest: Digest; directory: string }): void {
    const name = parseDirectoryName(directory);
    if (name !== null) this.#recorder.committed({ step: name.step, digest });
  }

  /** A step has been computed; `loss` is the one before its update, `savingStep` the step of the save that is going on. */
  afterStep({ step, loss, savingStep }: { step: number; loss: number; savingStep: number | null }): void {
    const isCompared = this.#check?.wants(step) ?? false;
    const isRecorded = this.#recorder.wants(step, savingStep);
    if (isCompared || isRecorded) {
      const result = { step, loss: bitsOf(loss), weights: this.#parts.weights() };
      if (isRecorded) this.#recorder.take(result);
      if (isCompared) this.#compare(result);
    }
    this.#recorder.settle(savingStep);
  }

  /** Resolves when what was recorded so far is written, or given up. */
  settled(): Promise<void> {
    return this.#journal.settled();
  }

  #compare(result: ReplayStep): void {
    if (this.#check === null) return;
    this.#check.take(result);
    const { verdict, isDone } = this.#check;
    if (isDone || verdict.result === "Differs") this.#say(verdict);
  }

  #say(verdict: ReplayVerdict): void {
    if (this.#said === verdict.result) return;
    this.#said = verdict.result;
    this.#parts.report(`replay of the recorded steps: ${describeReplay(verdict)}`);
  }
}
