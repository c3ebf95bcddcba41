import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { compareHealth } from "@trainingrun/checkpoint/health.ts";
import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { tensorsFile } from "@trainingrun/checkpoint/safetensors/write.ts";
import { saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { holdsNonFinite } from "./health.ts";
import type { HeldTensor, Snapshot } from "./learner.ts";
import type { Pacer } from "./pacer.ts";
import { trainerVersion } from "./trainer-version.ts";
import { optimizerFile, stateFile, type TrainingState, weightsFile } from "./training-state.ts";

/** What every checkpoint of this process has in common. */
export type SaverContext = {
  readonly store: Store;
  readonly runUid: string;
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
export type SaveRequest = { readonly state: TrainingState; readonly snapshot: Snapshot };

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
  readonly done: Promise<Saved | null>;
  abandon(): void;
};
export type Saved = { readonly step: number; readonly digest: Digest };

/** Saves checkpoints, one at a time, while training goes on. */
export class Saver {
  readonly #context: SaverContext;
  #counts: SaveCounts = { committed: 0, failed: 0, skipped: 0, lastSeconds: 0, lastBytes: 0 };
  #inFlight: InFlight | null = null;
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

  get inFlight(): InFlight | null {
    return this.#inFlight;
  }

  /** The newest commit: of this process, or the one it resumed from. */
  get last(): Saved | null {
    return this.#last;
  }

  /** What the tier takes while it has the thread; null before the first save. */
  get bytesPerSecond(): number | null {
    return this.#bytesPerSecond;
  }

  /** A newer attempt holds the log: nothing that this process does counts any more. */
  get fence(): FencedError | null {
    return this.#fence;
  }

  /** A save that was due while another is in flight is dropped: the next one holds its steps as well. */
  skip(): void {
    this.#counts = { ...this.#counts, skipped: this.#counts.skipped + 1 };
  }

  /** Begins a save. The snapshot is released when it has ended, however it does. */
  begin(request: SaveRequest): InFlight {
    if (this.#inFlight !== null) {
      throw new Error(`Cannot save step ${request.state.step} because step ${this.#inFlight.step} is being saved.`);
    }
    const abort = new AbortController();
    const held = [...request.snapshot.weights, ...request.snapshot.optimizerTensors];
    const bytes = held.reduce((sum, tensor) => sum + tensor.bytes, 0);
    const drain = new Drain(this.#context.pacer);
    const inFlight: InFlight = {
      step: request.state.step,
      bytes,
      get remainingBytes() {
        return bytes - drain.bytes;
      },
      done: this.#save(request, drain, abort.signal).finally(() => {
        for (const tensor of held) tensor.release();
        this.#inFlight = null;
      }),
      abandon: () => abort.abort(new Error("a newer save has the time that is left")),
    };
    this.#inFlight = inFlight;
    return inFlight;
  }

  async #save({ state, snapshot }: SaveRequest, drain: Drain, signal: AbortSignal): Promise<Saved | null> {
    const { store, runUid, attempt, parent, environment, pacer, nonFiniteBefore } = this.#context;
    const began = { atMs: performance.now(), trainingMs: pacer.trainingMs };
    try {
      const saved = await saveCheckpoint(store, {
        runUid,
        attempt,
        step: state.step,
        epoch: state.cursor.epoch,
        parent,
        files: [
          tensorsFile(weightsFile, snapshot.weights.map(drain.source)),
          tensorsFile(optimizerFile, snapshot.optimizerTensors.map(drain.source)),
          jsonFile(stateFile, state),
          jsonFile("environment.json", environment),
        ],
        metrics: state.metrics,
        // Read when the manifest is sealed: only then has every byte gone through the drain.
        get health() {
          return compareHealth(drain.nonFinite, nonFiniteBefore);
        },
        producer: { name: "trainingrun-trainer", version: trainerVersion },
        signal,
      });
      const seconds = (performance.now() - began.atMs) / 1000;
      const alone = seconds - (pacer.trainingMs - began.trainingMs) / 1000;
      this.#bytesPerSecond = saved.bytes / Math.max(0.001, alone);
      this.#last = { step: state.step, digest: saved.manifest.digest };
      this.#count({ committed: this.#counts.committed + 1, lastSeconds: seconds, lastBytes: saved.bytes });
      this.#context.afterCommit?.({ digest: saved.manifest.digest, directory: saved.directory });
      return this.#last;
    } catch (error) {
      if (error instanceof FencedError) this.#fence = error;
      else if (!signal.aborted) console.error(`Saving step ${state.step} failed; training goes on:`, error);
      this.#count({ failed: this.#counts.failed + 1 });
      return null;
    }
  }

  #count(change: Partial<SaveCounts>): void {
    this.#counts = { ...this.#counts, ...change };
  }
}

/** Copies tensors out when it is their turn, and looks through them for NaN and infinity on the way. */
class Drain {
  bytes = 0;
  readonly nonFinite: string[] = [];
  readonly #pacer: Pacer;

  constructor(pacer: Pacer) {
    this.#pacer = pacer;
  }

  readonly source = (tensor: HeldTensor) => ({
    name: tensor.name,
    dtype: tensor.dtype,
    shape: tensor.shape,
    bytes: async () => {
      await this.#pacer.turn();
      const values = tensor.read();
      if (holdsNonFinite(tensor, values)) this.nonFinite.push(tensor.name);
      this.bytes += values.byteLength;
      return values;
    },
  });
}
