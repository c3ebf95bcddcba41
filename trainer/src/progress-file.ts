import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { type Place, progressDirectory } from "./place.ts";
import { replaceFile } from "./replace-file.ts";

/** Between two writes that nothing but the clock asks for. */
const minMillisecondsBetween = 300;

/** `progress.json`, and what the agent asks and tells in files: the trainer's side of the control directory. */
export class ProgressFile {
  readonly #path: string;
  readonly #saveRequest: string;
  readonly #savingPaused: string;
  readonly #fenced: string;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #lookedAtMs = Number.NEGATIVE_INFINITY;
  #lookedForFenceAtMs = Number.NEGATIVE_INFINITY;
  #failing = false;
  #deaf = false;
  /** What was said of the pause of saving; null while there is none. */
  #pausedFor: string | null = null;
  /** What there was to say when the last write was too near; null where nothing has been held back since. */
  #heldBack: (() => Progress) | null = null;

  constructor(place: Place) {
    const directory = progressDirectory(place);
    this.#path = join(directory, controlFiles.progress);
    this.#saveRequest = join(directory, controlFiles.save);
    this.#savingPaused = join(directory, controlFiles.savingPaused);
    this.#fenced = join(directory, controlFiles.fenced);
  }

  /**
   * Writes if the last write is a while ago; otherwise at the end of the process, if nothing was written until then.
   * `progress` is asked only where it is written.
   */
  update(nowMs: number, progress: () => Progress): void {
    if (nowMs - this.#writtenAtMs < minMillisecondsBetween) {
      this.#heldBack = progress;
      holdBack(this);
    } else this.write(nowMs, progress());
  }

  /** Writes what was held back: whoever looks at a crash must see the step that it came to, not one before. */
  writeHeldBack(nowMs: number): void {
    if (this.#heldBack !== null) this.write(nowMs, this.#heldBack());
  }

  /** A report that cannot be written, as on a full volume, is said once and stops no training. */
  write(nowMs: number, progress: Progress): void {
    this.#writtenAtMs = nowMs;
    this.#heldBack = null;
    holding.delete(this);
    try {
      replaceFile(this.#path, `${JSON.stringify(progress)}\n`);
      this.#failing = false;
    } catch (error) {
      if (!this.#failing) console.error(`Cannot write ${this.#path}; training goes on:`, error);
      this.#failing = true;
    }
  }

  /** Whether someone asks for a save now; looked up a few times a second. */
  saveRequested(nowMs: number): boolean {
    if (this.#deaf || nowMs - this.#lookedAtMs < minMillisecondsBetween) return false;
    this.#lookedAtMs = nowMs;
    return existsSync(this.#saveRequest);
  }

  /** Whether the agent has found that another pod holds the log; looked up a few times a second. */
  isFenced(nowMs: number): boolean {
    if (nowMs - this.#lookedForFenceAtMs < minMillisecondsBetween) return false;
    this.#lookedForFenceAtMs = nowMs;
    return existsSync(this.#fenced);
  }

  /** Whether the agent asks for no regular saves at present; asked when one is due. */
  savingPaused(): boolean {
    const why = this.#readPause();
    if (why !== this.#pausedFor) console.error(why === null ? "Saving goes on." : describePause(why));
    this.#pausedFor = why;
    return why !== null;
  }

  /** Takes the request away as the save begins: a request made after this one asks for another save. */
  acceptSaveRequest(): void {
    try {
      rmSync(this.#saveRequest, { force: true });
    } catch (error) {
      // A request that stays would ask for save after save.
      this.#deaf = true;
      console.error(`Cannot take ${this.#saveRequest} away, so no further request for a save is heeded:`, error);
    }
  }

  /** The agent's words; none where they cannot be read, and null where there is no pause. */
  #readPause(): string | null {
    try {
      return readFileSync(this.#savingPaused, "utf8").trim();
    } catch {
      return existsSync(this.#savingPaused) ? "" : null;
    }
  }
}

function describePause(why: string): string {
  return `Saving is paused; the last save before the end is made all the same. ${why.slice(0, 512)}`.trimEnd();
}

/** The files that a process which ends now has yet to write. */
const holding = new Set<ProgressFile>();
let isListening = false;

/** A process that throws, or exits, ends with this; one that is killed does not. */
function holdBack(file: ProgressFile): void {
  holding.add(file);
  if (isListening) return;
  isListening = true;
  process.on("exit", () => {
    for (const each of holding) each.writeHeldBack(performance.now());
  });
}
