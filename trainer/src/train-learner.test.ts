import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { expect, onTestFinished, test } from "vitest";
import { batches } from "./batches.ts";
import type { HeldTensor, Learner, LoadedTensors } from "./learner.ts";
import { trainLearner } from "./train-learner.ts";

function tensor(name: string, values: number[]): HeldTensor {
  const bytes = new Uint8Array(new Float32Array(values).buffer);
  return {
    name,
    dtype: "F32",
    shape: [values.length],
    bytes: bytes.byteLength,
    read: () => bytes,
    copyTo: (target, from) => target.set(bytes.subarray(from, from + target.byteLength)),
    release: () => undefined,
  };
}

/** Weights beside a mask of -infinity; `spoil` is the step at which the weights become NaN. */
function maskedLearner({ spoil }: { spoil: number | null }): Learner<unknown> {
  let weight = 1;
  return {
    backend: "plain",
    environment: {},
    config: `blake3:${"0".repeat(64)}`,
    step: (_batch, { step }) => {
      weight = step === spoil ? Number.NaN : weight / 2;
      return 1;
    },
    snapshot: () => ({
      weights: [tensor("weights", [weight]), tensor("mask", [0, Number.NEGATIVE_INFINITY])],
      optimizerTensors: [],
      optimizer: { kind: "none", iterations: 0 },
    }),
    restore: () => undefined,
  };
}

function trainTo(steps: number, { directory, learner }: { directory: string; learner: Learner<unknown> }) {
  const rows = { size: 2, columns: { x: { values: Float32Array.of(1, 2), shape: [] } } };
  return trainLearner({
    learner: () => learner,
    data: batches(rows, { batchSize: 1, seed: 1 }),
    steps,
    seed: 1,
    local: { directory, interval: { steps: 1000 } },
  });
}

test.each([
  { what: "a mask that was infinite from the start is healthy", spoil: null, unhealthy: [false] },
  { what: "weights that became NaN are not", spoil: 2, unhealthy: [true] },
])("$what", async ({ spoil, unhealthy }) => {
  const directory = await mkdtemp(join(tmpdir(), "train-learner-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await trainTo(3, { directory, learner: maskedLearner({ spoil }) });
  const { state } = await readLog(await openDirectoryStore(directory, { runUid: "local" }));
  expect(state.checkpoints.map((checkpoint) => checkpoint.unhealthy)).toEqual(unhealthy);
});

/** Learns nothing, beside more masks of -infinity than a manifest names, one of a name longer than it takes. */
function manyMasks(): Learner<unknown> {
  const names = [...Array.from({ length: 1_200 }, (_, index) => `mask-${index}`), `mask-${"x".repeat(300)}`];
  return {
    ...maskedLearner({ spoil: null }),
    snapshot: () => ({
      weights: names.map((name) => tensor(name, [Number.NEGATIVE_INFINITY])),
      optimizerTensors: [],
      optimizer: { kind: "none", iterations: 0 },
    }),
  };
}

test("more masks than a manifest names are healthy after a resume as well", async () => {
  const directory = await mkdtemp(join(tmpdir(), "train-learner-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  for (const steps of [3, 6]) await trainTo(steps, { directory, learner: manyMasks() });
  const { state } = await readLog(await openDirectoryStore(directory, { runUid: "local" }));
  expect(state.checkpoints.map(({ step, unhealthy }) => [step, unhealthy])).toEqual([
    [3, false],
    [6, false],
  ]);
});

/** Collects all garbage there is. */
function collectGarbage(): void {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}

test("what a checkpoint held is not kept in memory while training goes on from it", async () => {
  const directory = await mkdtemp(join(tmpdir(), "train-learner-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await trainTo(2, { directory, learner: maskedLearner({ spoil: null }) });
  const loaded: WeakRef<Uint8Array>[] = [];
  const kept: number[] = [];
  const learner: Learner<unknown> = {
    ...maskedLearner({ spoil: null }),
    restore: (weights: LoadedTensors) => loaded.push(...[...weights.values()].map(({ bytes }) => new WeakRef(bytes))),
    step: () => {
      collectGarbage();
      kept.push(loaded.filter((reference) => reference.deref() !== undefined).length);
      return 1;
    },
  };
  await trainTo(5, { directory, learner });
  expect(loaded).toHaveLength(2);
  // A weak reference itself keeps its object until the end of the turn that made it, which may be the first step's.
  expect(kept.slice(1)).toEqual([0, 0]);
});
