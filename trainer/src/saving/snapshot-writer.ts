import { inspect } from "node:util";
import type { MessagePort } from "node:worker_threads";
import { jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { compareHealth } from "@trainingrun/checkpoint/health.ts";
import { FencedError } from "@trainingrun/checkpoint/log/append.ts";
import { tensorBytes } from "@trainingrun/checkpoint/safetensors/format.ts";
import { tensorsFile } from "@trainingrun/checkpoint/safetensors/write.ts";
import { saveCheckpoint } from "@trainingrun/checkpoint/save.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { trainerVersion } from "../trainer-version.ts";
import { stateFile } from "../training-state.ts";
import { ArrivingTensors } from "./arriving-tensors.ts";
import type { FromWriter, SaveJob, SaveOutcome, ToWriter } from "./protocol.ts";
import { warmSlab } from "./slab.ts";

/** A save that is being written. */
type Current = { readonly arriving: ArrivingTensors; readonly abort: AbortController };

/**
 * The other end of a {@link WriterLink}: looks through, hashes and writes what the training thread hands over, and
 * commits it. Usually in a thread of its own; it needs nothing but the port and the store.
 */
export class SnapshotWriter {
  readonly #port: MessagePort;
  readonly #store: Store;
  readonly #slabs: SharedArrayBuffer[] = [];
  #current: Current | null = null;

  constructor(port: MessagePort, store: Store) {
    this.#port = port;
    this.#store = store;
    port.on("message", (message: ToWriter) => this.#heed(message));
  }

  #heed(message: ToWriter): void {
    if (message.kind === "prepare") this.#prepare(message.slabs);
    else if (message.kind === "filled") this.#take(message.slab, message.bytes);
    else if (message.kind === "abandon") this.#current?.abort.abort(new Error(message.why));
    else void this.#save(message.job).then((outcome) => this.#tell({ kind: "ended", outcome }));
  }

  #prepare(slabs: number): void {
    while (this.#slabs.length < slabs) {
      const memory = warmSlab();
      this.#tell({ kind: "slab", slab: this.#slabs.push(memory) - 1, memory });
    }
  }

  #take(slab: number, bytes: number): void {
    const memory = this.#slabs[slab];
    // Of a save that has failed meanwhile: nobody wants these values any more.
    if (this.#current === null || memory === undefined) this.#tell({ kind: "emptied", slab });
    else this.#current.arriving.push({ slab, bytes: new Uint8Array(memory, 0, bytes) });
  }

  async #save(job: SaveJob): Promise<SaveOutcome> {
    const began = performance.now();
    const abort = new AbortController();
    const giveBack = (slab: number) => this.#tell({ kind: "emptied", slab });
    const arriving = new ArrivingTensors({ giveBack, signal: abort.signal });
    this.#current = { arriving, abort };
    try {
      const { manifest, directory, bytes } = await this.#write(job, { arriving, signal: abort.signal });
      const busySeconds = (performance.now() - began - arriving.waitedMs) / 1000;
      return { kind: "saved", digest: manifest.digest, directory, bytes, busySeconds };
    } catch (error) {
      if (error instanceof FencedError) return { kind: "fenced", message: error.message, by: error.by };
      // As text: not every error survives the way between two threads.
      return { kind: "failed", message: inspect(error) };
    } finally {
      this.#current = null;
      arriving.close();
    }
  }

  #write(job: SaveJob, { arriving, signal }: { arriving: ArrivingTensors; signal: AbortSignal }) {
    const { attempt, step, parent, metrics, state, environment, nonFiniteBefore, tensorFiles } = job;
    const files = tensorFiles.map(({ path, tensors }) =>
      tensorsFile(
        path,
        tensors.map((tensor) => ({
          ...tensor,
          bytes: () => arriving.take(tensor, tensorBytes(tensor.dtype, tensor.shape)),
        })),
      ),
    );
    return saveCheckpoint(this.#store, {
      runUid: this.#store.runUid,
      attempt,
      step,
      epoch: state.cursor.epoch,
      parent,
      files: [...files, jsonFile(stateFile, state), jsonFile("environment.json", environment)],
      metrics,
      // Read when the manifest is sealed: only then has every tensor been looked through.
      get health() {
        return compareHealth(arriving.nonFinite, nonFiniteBefore);
      },
      producer: { name: "trainingrun-trainer", version: trainerVersion },
      signal,
    });
  }

  #tell(message: FromWriter): void {
    this.#port.postMessage(message);
  }
}
