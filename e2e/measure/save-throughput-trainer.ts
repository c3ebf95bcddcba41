import { nothingExpected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import type { TensorSource } from "@trainingrun/checkpoint/safetensors/write.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import type { HeldTensor } from "@trainingrun/trainer/learner.ts";
import { Pacer } from "@trainingrun/trainer/pacer.ts";
import { Saver } from "@trainingrun/trainer/saver.ts";
import { writerThread } from "@trainingrun/trainer/saving/start-writer.ts";
import type { TrainingState } from "@trainingrun/trainer/training-state.ts";

/** A tensor of float32 whose values lie in memory. */
export type MemoryTensor = TensorSource & Readonly<{ dtype: "F32"; bytes: Uint8Array }>;

/** Saves by the trainer's own way, for a run that has just begun its first attempt. */
export type TrainerSave = Readonly<{
  /** Saves the tensors as the weights of a step, until the commit is durable; training does not want the thread meanwhile. */
  save(step: number, tensors: readonly MemoryTensor[]): Promise<void>;
  close(): Promise<void>;
}>;

/**
 * What a trainer does at a stop: values copied out into slabs, looked through for NaN, hashed, written and committed by
 * the writer's thread. Tensors are plain memory: what a backend takes to give its values out is not in it.
 */
export async function trainerSave({ root, runUid }: { root: string; runUid: string }): Promise<TrainerSave> {
  const store = await openDirectoryStore(root, { runUid });
  const who = { runUid, attempt: 1, podUid: "pod-1", node: "here", generation: 1 };
  const outcome = await restoreRun(store, { ...who, expected: nothingExpected });
  if (outcome.kind === "failed") throw new Error(outcome.message);
  const pacer = new Pacer();
  pacer.release();
  const writer = writerThread({ root, runUid });
  const saver = new Saver(
    { store, writer, attempt: 1, parent: null, nonFiniteBefore: [], environment: {}, pacer },
    null,
  );
  return {
    save: async (step, tensors) => {
      const optimizer = { kind: "none", iterations: step };
      const snapshot = { weights: tensors.map(held), optimizerTensors: [], optimizer };
      const saved = await saver.begin({ state: stateAt(step), snapshot }).done;
      if (saved === null) throw new Error(`Cannot measure a save of step ${step} that failed: see above`);
    },
    close: () => saver.close(),
  };
}

function held({ name, shape, bytes }: MemoryTensor): HeldTensor {
  return {
    name,
    dtype: "F32",
    shape,
    bytes: bytes.byteLength,
    read: () => bytes,
    copyTo: (target, from) => target.set(bytes.subarray(from, from + target.byteLength)),
    release: () => undefined,
  };
}

function stateAt(step: number): TrainingState {
  return {
    version: 1,
    step,
    random: { seed: 1, counter: step },
    cursor: { epoch: 0, permutationSeed: 1, position: 0 },
    datasetSize: 1,
    optimizer: { kind: "none", iterations: step },
    metrics: [],
    evaluatedStep: 0,
    best: null,
    trainedSeconds: 0,
    attempts: 1,
  };
}
