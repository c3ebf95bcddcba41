import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import { type FileSource, jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { hashBytes } from "@trainingrun/checkpoint/hash.ts";
import type { LoadedCheckpoint } from "@trainingrun/checkpoint/load.ts";
import type { Manifest } from "@trainingrun/checkpoint/manifest.ts";
import { readTensors } from "@trainingrun/checkpoint/safetensors/read.ts";
import { tensorsFile } from "@trainingrun/checkpoint/safetensors/write.ts";
import { fieldsOf } from "../api/object.ts";

/**
 * What a model trainer has learnt. Each step's follow from the step's before and from nothing else, so that whoever knows
 * the run's uid knows them all, and a step that was computed from other bytes shows for ever after.
 */
export type Weights = Digest;

const weightsFile = "model.safetensors";
const stateFile = "state.json";
const tensorName = "dense/kernel";
const repeats = 32;

/** Before the first step. */
export function firstWeights(runUid: string): Weights {
  return hashOf(`the first of ${runUid}`);
}

/** After a step more. */
export function nextWeights(weights: Weights, step: number): Weights {
  return hashOf(`${weights} at ${step}`);
}

/** After so many steps. */
export function weightsAfter(runUid: string, steps: number): Weights {
  let weights = firstWeights(runUid);
  for (let step = 1; step <= steps; step += 1) weights = nextWeights(weights, step);
  return weights;
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

/** What a checkpoint holds. Where its bytes are none of a trainer's, they are told apart from all others. */
export async function weightsIn(checkpoint: LoadedCheckpoint): Promise<Weights> {
  const { tensors } = await checkpoint.tensors(weightsFile);
  const state = await checkpoint.json(stateFile);
  return weightsOf(tensors.get(tensorName)?.bytes ?? new Uint8Array(0), { state, manifest: checkpoint.manifest });
}

/** The same of files that somebody has at hand. */
export async function weightsInFiles(manifest: Manifest, bytesOf: (path: string) => Uint8Array): Promise<Weights> {
  const { tensors } = await readTensors(bytesOf(weightsFile));
  const state: unknown = JSON.parse(Buffer.from(bytesOf(stateFile)).toString("utf8"));
  return weightsOf(tensors.get(tensorName)?.bytes ?? new Uint8Array(0), { state, manifest });
}

function weightsOf(bytes: Uint8Array, { state, manifest }: { state: unknown; manifest: Manifest }): Weights {
  const text = Buffer.from(bytes).toString("latin1");
  const weights = text.slice(0, text.length / repeats);
  const isWhole = weights.repeat(repeats) === text && fieldsOf(state).step === manifest.step;
  return isWhole ? weights : hashOf(`other bytes: ${text}`);
}

function hashOf(text: string): Digest {
  return hashBytes(Buffer.from(text));
}
