import { type FileHandle, open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { accessing, fileMode, makeDirectory, syncDirectory } from "@trainingrun/checkpoint/store/file-system.ts";
import type { MetricValues } from "../metric-values.ts";
import { cutEarlierFiles, eventFile } from "./earlier-files.ts";
import { scalarsEvent, startEvent, versionEvent } from "./event.ts";
import { frame } from "./record.ts";

export type EventWriterOptions = {
  /** `tensorboard/` beside `data/` and `log/`, where nothing but this class looks. */
  readonly directory: string;
  readonly attempt: number;
  /** The step that the attempt goes on from. */
  readonly step: number;
  /** The step that the run is to reach. */
  readonly steps: number;
  /** Hears, once at most, that there will be no more events, and why. */
  readonly report: (message: string) => void;
};

/** Above this many steps losses are thinned: a viewer draws a thousand points, and the volume is for checkpoints. */
const maxLosses = 100_000;
const betweenWritesMs = 1000;
/** A volume that takes nothing for so long that this much waits is given up on. */
const maxWaitingBytes = 4 << 20;
const maxCloseMs = 1000;

/**
 * Writes the run's curves as TensorBoard event files, one file an attempt, so that every step is there once however
 * often the run was resumed. It is a display, no record: nothing is read back from it, and no failure of it reaches the
 * training. All disk work is done behind the training's back, the first of it included.
 */
export class EventWriter {
  readonly #options: EventWriterOptions;
  readonly #stride: number;
  #waiting: Uint8Array[] = [];
  #waitingBytes = 0;
  #file: FileHandle | null = null;
  #timer: NodeJS.Timeout | null = null;
  #work: Promise<void>;
  #closing: Promise<void> | null = null;
  #gaveUp = false;

  constructor(options: EventWriterOptions) {
    this.#options = options;
    this.#stride = Math.max(1, Math.ceil(options.steps / maxLosses));
    const time = { wallTime: Date.now() / 1000, step: options.step + 1 };
    this.#add(versionEvent({ ...time, step: 0 }));
    this.#add(startEvent(time));
    this.#work = this.#unlessGivenUp(() => this.#open());
  }

  /** The loss of a step. */
  loss(step: number, value: number): void {
    if (step % this.#stride === 0) this.#scalars(step, { "train/loss": value });
  }

  /** What an evaluation after a step has found. */
  evaluation(step: number, metrics: MetricValues): void {
    const named = Object.entries(metrics).map(([name, value]) => [`evaluation/${name}`, value] as const);
    if (named.length > 0) this.#scalars(step, Object.fromEntries(named));
  }

  /** Writes what waits, soon. Never rejects. */
  flush(): Promise<void> {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (!this.#gaveUp) this.#work = this.#work.then(() => this.#unlessGivenUp(() => this.#write()));
    return this.#work;
  }

  /** Writes what waits and closes the file. Takes a second at most, from the first call on. Never rejects. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const closed = this.flush().then(() => this.#closeFile());
    const timer = new AbortController();
    const timeout = sleep(maxCloseMs, "timeout" as const, { signal: timer.signal }).catch(() => "aborted" as const);
    const first = await Promise.race([closed, timeout]);
    timer.abort();
    if (first === "timeout") this.#giveUp(`the last of them did not reach ${this.#options.directory} within a second`);
  }

  #scalars(step: number, values: MetricValues): void {
    this.#add(scalarsEvent({ wallTime: Date.now() / 1000, step }, values));
  }

  #add(event: Uint8Array): void {
    if (this.#gaveUp || this.#closing !== null) return;
    const record = frame(event);
    if (this.#waitingBytes + record.byteLength > maxWaitingBytes) {
      this.#giveUp(`${this.#options.directory} does not take them fast enough: look at the volume`);
      return;
    }
    this.#waiting.push(record);
    this.#waitingBytes += record.byteLength;
    // Never what keeps a process alive.
    this.#timer ??= setTimeout(() => void this.flush(), betweenWritesMs).unref();
  }

  async #open(): Promise<void> {
    const { directory, attempt, step } = this.#options;
    await makeDirectory(directory, { existing: "accept" });
    if (!(await cutEarlierFiles(directory, { step, attempt }))) {
      return this.#giveUp(`${directory} has those of a later attempt than ${attempt}`);
    }
    // Kept open: should this process be given up on and wake later, it must not find its successor's copy by name.
    this.#file = await open(join(directory, eventFile({ firstStep: step + 1, attempt })), "ax", fileMode);
    await syncDirectory(directory);
  }

  async #write(): Promise<void> {
    const bytes = Buffer.concat(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
    await this.#file?.appendFile(bytes);
  }

  async #closeFile(): Promise<void> {
    const file = this.#file;
    this.#file = null;
    await file?.close().catch(() => undefined);
  }

  async #unlessGivenUp(act: () => Promise<void>): Promise<void> {
    if (this.#gaveUp) return;
    try {
      await accessing("write TensorBoard events", this.#options.directory, act);
    } catch (error) {
      this.#giveUp(error instanceof Error ? error.message : String(error));
    }
    if (this.#gaveUp) await this.#closeFile();
  }

  #giveUp(why: string): void {
    if (this.#gaveUp) return;
    this.#gaveUp = true;
    this.#waiting = [];
    this.#options.report(`no TensorBoard events from here on, training is not affected: ${why}`);
  }
}
