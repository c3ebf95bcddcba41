import { appendFile, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { directoryName, parseDirectoryName } from "@trainingrun/checkpoint/directory-name.ts";
import type { ReplaySink } from "./replay-recorder.ts";
import { formatLine, type ReplayHeading, type ReplayStep } from "./replay-step.ts";

/** The run's directory of recordings, beside `log/` and `data/`. */
export const replayDirectory = "replay";
const extension = ".jsonl";

/** A volume that falls so far behind is not waited for: the recording ends there. */
const maxPendingLines = 10_000;

/** The recording of the steps that follow on the checkpoint of `step`, as that attempt computed them. */
export function recordingName(step: number, attempt: number): string {
  return `${directoryName(step, attempt)}${extension}`;
}

/** Step and attempt of a recording, or null where the name is none. */
export function parseRecordingName(name: string): { step: number; attempt: number } | null {
  return name.endsWith(extension) ? parseDirectoryName(name.slice(0, -extension.length)) : null;
}

/**
 * Appends recorded steps to files beside the checkpoints, while training goes on: one file per checkpoint and attempt,
 * one line per step. It must outlive the process and no more: what a node's crash takes from the page cache is missing
 * from the record, and a resume says so. A recording lives as long as its checkpoint does.
 */
export class ReplayJournal implements ReplaySink {
  readonly #root: string;
  readonly #report: (text: string) => void;
  #path: string | null = null;
  /** Lines that the next write to the present file takes along. */
  #batch: string[] | null = null;
  #pendingLines = 0;
  #writing: Promise<void> = Promise.resolve();
  #broken = false;

  /** `root` is the run's own directory; `report` is told once why nothing is recorded any more. */
  constructor(root: string, report: (text: string) => void) {
    this.#root = root;
    this.#report = report;
  }

  begin(heading: ReplayHeading): void {
    const path = join(this.#root, replayDirectory, recordingName(heading.step, heading.attempt));
    this.#path = path;
    this.#batch = null;
    this.#then(async () => {
      await mkdir(join(this.#root, replayDirectory), { recursive: true });
      await this.#sweep(heading.step);
      await appendFile(path, formatLine(heading));
    });
  }

  add(step: ReplayStep): void {
    const path = this.#path;
    if (path === null || this.#broken) return;
    if (this.#pendingLines >= maxPendingLines) {
      this.#break(`${maxPendingLines} steps wait to be written`);
      return;
    }
    this.#pendingLines += 1;
    if (this.#batch !== null) {
      this.#batch.push(formatLine(step));
      return;
    }
    const batch = [formatLine(step)];
    this.#batch = batch;
    this.#then(() => this.#flush(path, batch));
  }

  /** Resolves when everything that was added so far is written, or given up. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #flush(path: string, batch: readonly string[]): Promise<void> {
    if (this.#batch === batch) this.#batch = null;
    this.#pendingLines -= batch.length;
    await appendFile(path, batch.join(""));
  }

  /** In order, one after the other; the first failure ends it for good. */
  #then(write: () => Promise<void>): void {
    this.#writing = this.#writing.then(async () => {
      if (this.#broken) return;
      try {
        await write();
      } catch (error) {
        this.#break(String(error));
      }
    });
  }

  #break(why: string): void {
    this.#broken = true;
    this.#batch = null;
    this.#report(`Cannot record steps for the replay check any more; training goes on: ${why}`);
  }

  /** Takes away the recordings of checkpoints that are gone; that of `step` is about to be written. */
  async #sweep(step: number): Promise<void> {
    const steps = new Set([step]);
    for (const name of await readdir(join(this.#root, "data"))) {
      const checkpoint = parseDirectoryName(name);
      if (checkpoint !== null) steps.add(checkpoint.step);
    }
    for (const name of await readdir(join(this.#root, replayDirectory))) {
      const recording = parseRecordingName(name);
      if (recording === null || steps.has(recording.step)) continue;
      await rm(join(this.#root, replayDirectory, name), { force: true });
    }
  }
}
