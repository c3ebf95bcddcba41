import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { sweep } from "@trainingrun/checkpoint/sweep.ts";
import { expect, onTestFinished, test } from "vitest";
import { LinearLearner, noisyPoints } from "../../examples/linear/linear-learner.ts";
import { batches } from "../src/batches.ts";
import { trainLearner } from "../src/train-learner.ts";
import { type PodEnd, TestRun } from "./pod.ts";
import { countPoints, readEvents } from "./read-events.ts";

/* The event files that trainers in processes of their own leave on the volume. */

const settings = { STEPS: 500, WEIGHTS: 200, SEED: 11, STEP_MS: 2 };
const longest = { timeout: 120_000 };
const interval = { steps: 20 };

const weightsOf = ({ record }: PodEnd) => (record?.kind === "done" ? record.weights : undefined);

test("a run that was stopped and killed has each step once", longest, async () => {
  using run = new TestRun();
  const events = join(run.checkpoints, "tensorboard");
  for (const signal of ["SIGTERM", "SIGKILL", "SIGKILL"] as const) {
    const pod = await run.startPod({ settings, interval });
    await pod.hears(/step \d+00 {2}loss/);
    pod.signal(signal);
    const { record } = await pod.ended;
    // A stop leaves nothing unwritten.
    if (record?.kind === "preempted") expect(readEvents(events).at(-1)?.step).toBe(record.step);
  }
  expect(await (await run.startPod({ settings, interval })).ended).toMatchObject({ code: 0 });
  const counts = countPoints(readEvents(events));
  expect([...counts.values()].filter((count) => count !== 1)).toEqual([]);
  // A kill takes with it what waited less than a second; every other step is there.
  expect([...counts.keys()].slice(0, 100)).toEqual(Array.from({ length: 100 }, (_, at) => `${at + 1} train/loss`));
  expect(counts.get("500 train/loss")).toBe(1);
});

test("a volume that takes no event files changes nothing but one line", longest, async () => {
  using well = new TestRun();
  using ill = new TestRun();
  mkdirSync(ill.checkpoints, { recursive: true });
  writeFileSync(join(ill.checkpoints, "tensorboard"), "in the way");
  const expected = await (await well.startPod({ settings })).ended;
  const end = await (await ill.startPod({ settings })).ended;
  expect(end).toMatchObject({ code: 0, record: { kind: "done", step: 500 } });
  expect(weightsOf(end)).toBe(weightsOf(expected));
  expect(end.output.match(/no TensorBoard events/g)).toHaveLength(1);
  expect(existsSync(join(well.checkpoints, "tensorboard"))).toBe(true);
  expect(readdirSync(ill.checkpoints).toSorted()).toEqual(["data", "log", "tensorboard"]);
});

test("retention and sweep leave the event files alone, and evaluations are among them", longest, async () => {
  // Five trainings leave five last checkpoints, however many of the regular ones a busy machine skips.
  const ends = [40, 80, 120, 160, 200];
  const directory = await trainAtHand({ tensorboard: undefined, ends });
  const store = await openDirectoryStore(directory, { runUid: "local" });
  const { state } = await readLog(store);
  expect(state.deleted.length).toBeGreaterThan(0);
  await sweep(store, state, { recorded: [] });
  const losses = Array.from({ length: 200 }, (_, at) => [`${at + 1} train/loss`, 1] as const);
  const evaluations = ends.map((step) => [`${step} evaluation/doubled`, 1] as const);
  const events = readEvents(join(directory, "tensorboard"));
  expect(countPoints(events)).toEqual(new Map([...losses, ...evaluations]));
  expect(events.find(({ scalars }) => "evaluation/doubled" in scalars)?.scalars).toEqual({ "evaluation/doubled": 80 });
});

test("switched off, it writes none", longest, async () => {
  expect(readdirSync(await trainAtHand({ tensorboard: false, ends: [200] })).toSorted()).toEqual([
    "control",
    "data",
    "latest",
    "log",
  ]);
});

type AtHand = { tensorboard: boolean | undefined; ends: readonly number[] };

/** Trains to each of these steps, one training after the other, and returns where. */
async function trainAtHand({ tensorboard, ends }: AtHand): Promise<string> {
  const directory = mkdtempSync(join(tmpdir(), "events-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  for (const steps of ends) {
    await trainLearner({
      learner: () => new LinearLearner({ weights: 8, learningRate: 0.05, momentum: 0.9 }),
      data: batches(noisyPoints({ rows: 100, weights: 8, seed: 1 }), { batchSize: 20, seed: 1 }),
      steps,
      seed: 1,
      minStepMilliseconds: 2,
      every: { steps: 80, run: ({ step }) => ({ doubled: step * 2 }) },
      local: { directory, interval: { steps: 10 } },
      tensorboard,
    });
  }
  return directory;
}
