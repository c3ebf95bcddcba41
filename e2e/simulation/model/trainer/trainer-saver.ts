import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { type SavedCheckpoint, SaveFailedError, saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { filesOf, type Weights } from "./weights.ts";

/** A checkpoint that this process committed, or resumed from. */
export type Saved = Readonly<{ step: number; digest: Digest }>;

/** What all saves of a process have in common. */
export type SaverContext = Readonly<{
  store: Store;
  runUid: string;
  attempt: number;
  resumed: Saved | null;
  /** How long the bytes of a save take. */
  pace: () => Promise<void>;
  /** Told as a save begins, and again once it stands. */
  onSaving: (saving: Readonly<{ step: number; content: Digest }>) => void;
  onSaved: (saved: Saved & Readonly<{ content: Digest }>) => void;
}>;

/** Saves while training goes on, one checkpoint at a time, by the library's own save. */
export class TrainerSaver {
  readonly #context: SaverContext;
  #last: Saved | null;
  #inFlight: Promise<void> | null = null;
  #isFenced = false;
  committed = 0;
  failed = 0;
  skipped = 0;
  lastSeconds = 0;
  lastBytes = 0;

  constructor(context: SaverContext) {
    this.#context = context;
    this.#last = context.resumed;
  }

  /** The newest checkpoint that stands. */
  get last(): Saved | null {
    return this.#last;
  }

  /** Whether a newer attempt holds the log: nothing more of this process counts. */
  get isFenced(): boolean {
    return this.#isFenced;
  }

  /** Begins a save, unless one is under way: the next one holds its steps as well. */
  begin(weights: Weights, step: number): void {
    if (this.#inFlight === null) void this.#start(weights, step);
    else this.skipped += 1;
  }

  /** Saves a step, after the save that is under way, and says whether it stands. */
  async finish(weights: Weights, step: number): Promise<boolean> {
    await this.#inFlight;
    if (this.#last?.step !== step && !this.#isFenced) await this.#start(weights, step);
    return this.#last?.step === step;
  }

  #start(weights: Weights, step: number): Promise<void> {
    const saving = this.#save(weights, step).finally(() => {
      this.#inFlight = null;
    });
    this.#inFlight = saving;
    return saving;
  }

  async #save(weights: Weights, step: number): Promise<void> {
    const { store, runUid, attempt, resumed, pace, onSaving, onSaved } = this.#context;
    onSaving({ step, content: weights });
    try {
      const saved: SavedCheckpoint = await saveCheckpoint(store, {
        runUid,
        attempt,
        step,
        parent: resumed?.digest ?? null,
        files: filesOf(weights, step, pace),
        metrics: [{ name: "loss", value: (1 / (1 + step)).toFixed(6) }],
        health: healthy,
        producer: { name: "model-trainer", version: "1.0.0" },
      });
      this.#last = { step, digest: saved.manifest.digest };
      this.committed += 1;
      this.lastSeconds = saved.seconds;
      this.lastBytes = saved.bytes;
      onSaved({ ...this.#last, content: weights });
    } catch (error) {
      if (error instanceof FencedError) this.#isFenced = true;
      else if (error instanceof SaveFailedError) this.failed += 1;
      else throw error;
    }
  }
}
