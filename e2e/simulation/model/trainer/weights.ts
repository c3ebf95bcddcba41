import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { workerName } from "@trainingrun/checkpoint/directory-name.ts";
import { type FileSource, jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { hashBytes } from "@trainingrun/checkpoint/hash.ts";
import type { LoadedCheckpoint } from "@trainingrun/checkpoint/load.ts";
import type { Manifest } from "@trainingrun/checkpoint/manifest.ts";
import { readTensors } from "@trainingrun/checkpoint/safetensors/read.ts";
import { tensorsFile } from "@trainingrun/checkpoint/safetensors/write.ts";
import { fieldsOf } from "../api/object.ts";

/**
 * What a model trainer has learnt. Each step's follow from the step's before and from nothing else, so that whoever knows
 * the run's uid knows them all, and a step that was computed from other bytes shows for ever after. Each worker of a gang
 * has its own, which follow from those of all.
 */
export type Weights = Digest;

const weightsFile = "model.safetensors";
const stateFile = "state.json";
const tensorName = "dense/kernel";
const repeats = 32;

/** Before the first step. */
export function firstWeights(runUid: string, worker = 0): Weights {
  return hashOf(`the first of ${runUid}${worker === 0 ? "" : ` in worker ${worker}`}`);
}

/** After a step more; `all`: what each worker of a gang began the step with. */
export function nextWeights(weights: Weights, step: number, all: readonly Weights[] = []): Weights {
  return hashOf(`${weights} at ${step}${all.length === 0 ? "" : ` among ${all.join(" ")}`}`);
}

/** After so many steps; of a gang, those of all workers together. */
export function weightsAfter(runUid: string, steps: number, workers = 1): Weights {
  let all = Array.from({ length: workers }, (_, worker) => firstWeights(runUid, worker));
  for (let step = 1; step <= steps; step += 1) {
    const before = workers === 1 ? [] : all;
    all = all.map((weights) => nextWeights(weights, step, before));
  }
  return together(all);
}

/** What the weights of all workers come to, in the order of their numbers. */
export function together(all: readonly Weights[]): Weights {
  const [only] = all;
  return only !== undefined && all.length === 1 ? only : hashOf(all.join(" "));
}

/** What a checkpoint of these weights holds; `pace` is waited for before the first byte of the tensors. */
export function filesOf(weights: Weights, step: number, pace: () => Promise<void>): readonly FileSource[] {
  const bytes = Buffer.from(weights.repeat(repeats));
  const tensors = tensorsFile(weightsFile, [{ name: tensorName, dtype: "U8", shape: [bytes.byteLength], bytes }]);
  const paced = {
    ...tensors,
    async *chunks() {
      await pace();
      yield* tensors.chunks();
    },
  };
  return [paced, jsonFile(stateFile, { step, rng: [7, step] })];
}

/** What a worker takes up of a checkpoint: all of it, or in a gang its own shard. */
export function shareIn(checkpoint: LoadedCheckpoint, worker: number): Promise<Weights> {
  const { manifest } = checkpoint;
  return weightsBelow(manifest.workers === undefined ? "" : `${workerName(worker)}/`, checkpoint);
}

/** What a checkpoint holds. Where its bytes are none of a trainer's, they are told apart from all others. */
export async function weightsIn(checkpoint: Files): Promise<Weights> {
  const { workers } = checkpoint.manifest;
  if (workers === undefined) return weightsBelow("", checkpoint);
  const all: Weights[] = [];
  for (let worker = 0; worker < workers; worker += 1) {
    all.push(await weightsBelow(`${workerName(worker)}/`, checkpoint));
  }
  return together(all);
}

/** The same of files that somebody has at hand. */
export function weightsInFiles(manifest: Manifest, bytesOf: (path: string) => Uint8Array): Promise<Weights> {
  return weightsIn({
    manifest,
    tensors: (path) => readTensors(bytesOf(path)),
    json: async (path) => JSON.parse(Buffer.from(bytesOf(path)).toString("utf8")),
  });
}

type Files = Pick<LoadedCheckpoint, "manifest" | "tensors" | "json">;

async function weightsBelow(folder: string, { manifest, ...files }: Files): Promise<Weights> {
  const { tensors } = await files.tensors(`${folder}${weightsFile}`);
  const state = await files.json(`${folder}${stateFile}`);
  const bytes = tensors.get(tensorName)?.bytes ?? new Uint8Array(0);
  const text = Buffer.from(bytes).toString("latin1");
  const weights = text.slice(0, text.length / repeats);
  const isWhole = weights.repeat(repeats) === text && fieldsOf(state).step === manifest.step;
  return isWhole ? weights : hashOf(`other bytes: ${text}`);
}

function hashOf(text: string): Digest {
  return hashBytes(Buffer.from(text));
}
