import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { expect, onTestFinished, test } from "vitest";
import type { Learner } from "./learner.ts";
import { Pacer } from "./pacer.ts";
import { ProgressFile } from "./progress-file.ts";
import { Saver } from "./saver.ts";
import { writerHere } from "./saving/start-writer.ts";
import { type Evaluation, TrainingLoop } from "./training-loop.ts";

/** Learns nothing, and says so with a loss of 1. */
const idle: Learner<null> = {
  backend: "plain",
  environment: {},
  config: `blake3:${"0".repeat(64)}`,
  step: () => 1,
  snapshot: () => ({ weights: [], optimizerTensors: [], optimizer: { kind: "none", iterations: 0 } }),
  restore: () => undefined,
};

async function loopWith(every: Evaluation): Promise<TrainingLoop<null>> {
  const checkpoints = await mkdtemp(join(tmpdir(), "training-loop-"));
  onTestFinished(() => rm(checkpoints, { recursive: true, force: true }));
  const store = await openDirectoryStore(checkpoints, { runUid: "run" });
  const pacer = new Pacer();
  const who = { attempt: 1, parent: null, nonFiniteBefore: [], environment: {} };
  const interval = { steps: 1000 };
  return new TrainingLoop(
    {
      learner: idle,
      data: {
        cursor: { epoch: 0, permutationSeed: 0, position: 0 },
        samples: 0,
        dataset: { size: 1 },
        next: () => null,
        seek: () => undefined,
      },
      steps: 4,
      every,
      best: undefined,
      minStepMilliseconds: 0,
      interval,
      saver: new Saver({ ...who, store, writer: writerHere(store), pacer }, null),
      pacer,
      progress: new ProgressFile({ kind: "local", runUid: "run", checkpoints, interval, graceSeconds: 30 }),
      signal: new AbortController().signal,
      onStep: undefined,
      events: undefined,
    },
    { seed: 1 },
  );
}

test("training ends at the first evaluation whose metrics no checkpoint could hold", async () => {
  const loop = await loopWith({ steps: 2, run: () => ({ ["x".repeat(64)]: 1 }) });
  await expect(loop.run()).rejects.toThrow("Cannot record these metrics because a checkpoint holds");
  expect(loop.step).toBe(2);
});

test("what an evaluation returns is part of the state that is saved", async () => {
  const loop = await loopWith({ steps: 2, run: ({ step }) => ({ accuracy: step / 4 }) });
  expect(await loop.run()).toBe("finished");
  expect(loop.saveRequest().state).toMatchObject({
    step: 4,
    evaluatedStep: 4,
    metrics: [
      { name: "accuracy", value: "1" },
      { name: "loss", value: "1" },
    ],
  });
});
