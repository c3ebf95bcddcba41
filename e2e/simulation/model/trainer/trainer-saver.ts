import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { SaveFailedError, type SaveRequest, saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import { awaitCommit } from "@trainingrun/checkpoint/shards/await-commit.ts";
import { saveShard } from "@trainingrun/checkpoint/shards/save-shard.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { filesOf, type Weights } from "./weights.ts";

/** A checkpoint that this process committed, or resumed from. */
export type Saved = Readonly<{ step: number; digest: Digest }>;

/** What all saves of a process have in common. */
export type SaverContext = Readonly<{
  store: Store;
  runUid: string;
  attempt: number;
  worker: number;
  workers: number;
  resumed: Saved | null;
  /** How long the bytes of a save take. */
  pace: () => Promise<void>;
  /** Told as a save begins, and again once it stands. */
  onSaving: (saving: Readonly<{ step: number; content: Digest }>) => void;
  onSaved: (saved: Saved & Readonly<{ content: Digest }>) => void;
}>;

/** How long a worker of a gang waits for the others' shards and for worker 0's agent, and how often it looks. */
const [commitPatienceMs, commitLookMs] = [120_000, 500];

/** Saves while training goes on, one checkpoint at a time, by the library's own save: alone, or a shard of a gang's. */
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

  /** Whether a save is under way. */
  get isBusy(): boolean {
    return this.#inFlight !== null;
  }

  /** Begins a save, unless one is under way, here or elsewhere in the gang: the next one holds its steps as well. */
  begin(weights: Weights, step: number, { isHeldUp }: Readonly<{ isHeldUp: boolean }>): void {
    if (isHeldUp || this.isBusy) this.skipped += 1;
    else void this.#start(weights, step);
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
    const { runUid, attempt, resumed, pace, onSaving, onSaved } = this.#context;
    onSaving({ step, content: weights });
    try {
      const { digest, seconds, bytes } = await this.#write({
        runUid,
        attempt,
        step,
        parent: resumed?.digest ?? null,
        files: filesOf(weights, step, pace),
        metrics: [{ name: "loss", value: (1 / (1 + step)).toFixed(6) }],
        health: healthy,
        producer: { name: "model-trainer", version: "1.0.0" },
      });
      this.#last = { step, digest };
      this.committed += 1;
      this.lastSeconds = seconds;
      this.lastBytes = bytes;
      onSaved({ ...this.#last, content: weights });
    } catch (error) {
      if (error instanceof FencedError) this.#isFenced = true;
      else if (error instanceof SaveFailedError) this.failed += 1;
      else throw error;
    }
  }

  async #write(request: SaveRequest): Promise<{ digest: Digest; seconds: number; bytes: number }> {
    const { store, worker, workers } = this.#context;
    if (workers === 1) {
      const { manifest, seconds, bytes } = await saveCheckpoint(store, request);
      return { digest: manifest.digest, seconds, bytes };
    }
    const { seconds, bytes } = await saveShard(store, { ...request, worker, workers });
    return { digest: await this.#committed(request), seconds, bytes };
  }

  /** What the gang has saved of a step, once worker 0's agent has made a checkpoint of it. */
  async #committed({ step, attempt }: SaveRequest): Promise<Digest> {
    const signal = AbortSignal.timeout(commitPatienceMs);
    try {
      return (await awaitCommit(this.#context.store, { step, attempt, signal, everyMs: commitLookMs })).digest;
    } catch (error) {
      if (error instanceof FencedError) throw error;
      throw new SaveFailedError(`Cannot save step ${step} because it was not committed`, { cause: error });
    }
  }
}
