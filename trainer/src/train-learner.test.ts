import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { expect, onTestFinished, test } from "vitest";
import { batches } from "./batches.ts";
import type { HeldTensor, Learner } from "./learner.ts";
import { trainLearner } from "./train-learner.ts";

const tensor = (name: string, values: number[]): HeldTensor => ({
  name,
  dtype: "F32",
  shape: [values.length],
  bytes: 4 * values.length,
  read: () => new Uint8Array(new Float32Array(values).buffer),
  release: () => undefined,
});

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

test.each([
  { what: "a mask that was infinite from the start is healthy", spoil: null, unhealthy: [false] },
  { what: "weights that became NaN are not", spoil: 2, unhealthy: [true] },
])("$what", async ({ spoil, unhealthy }) => {
  const directory = await mkdtemp(join(tmpdir(), "train-learner-"));
  onTestFinished(() => rm(directory, { recursive: true, force: true }));
  await trainLearner({
    learner: () => maskedLearner({ spoil }),
    data: batches({ size: 2, columns: { x: { values: Float32Array.of(1, 2), shape: [] } } }, { batchSize: 1, seed: 1 }),
    steps: 3,
    seed: 1,
    local: { directory, interval: { steps: 1000 } },
  });
  const { state } = await readLog(await openDirectoryStore(directory, { runUid: "local" }));
  expect(state.checkpoints.map((checkpoint) => checkpoint.unhealthy)).toEqual(unhealthy);
});
