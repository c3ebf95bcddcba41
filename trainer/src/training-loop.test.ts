import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { controlFiles } from "@trainingrun/checkpoint/contract/control-files.ts";
import { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { appendRecordAfter } from "@trainingrun/checkpoint/log/append.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { type DirectoryStore, openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { expect, onTestFinished, test, vi } from "vitest";
import type { BestPolicy } from "./best.ts";
import type { Learner } from "./learner.ts";
import { Pacer } from "./pacer.ts";
import { ProgressFile } from "./progress-file.ts";
import { Saver } from "./saver.ts";
import { writerHere } from "./saving/start-writer.ts";
import { type Evaluation, type LoopParts, TrainingLoop } from "./training-loop.ts";

/** Learns nothing, and says so with a loss of 1. */
const idle: Learner<null> = {
  backend: "plain",
  environment: {},
  config: `blake3:${"0".repeat(64)}`,
  step: () => 1,
  snapshot: () => ({ weights: [], optimizerTensors: [], optimizer: { kind: "none", iterations: 0 } }),
  restore: () => undefined,
};

type Scene = {
  readonly loop: TrainingLoop<null>;
  readonly store: DirectoryStore;
  readonly saver: Saver;
  readonly pacer: Pacer;
  readonly checkpoints: string;
};

async function loopWith(every: Evaluation): Promise<TrainingLoop<null>> {
  return (await sceneWith({ every })).loop;
}

type Course = {
  every?: Evaluation;
  saveEvery?: number;
  steps?: number;
  best?: BestPolicy;
  grace?: LoopParts<null>["grace"];
};

async function sceneWith({ every, saveEvery = 1000, steps = 4, best, grace }: Course): Promise<Scene> {
  const checkpoints = await mkdtemp(join(tmpdir(), "training-loop-"));
  onTestFinished(() => rm(checkpoints, { recursive: true, force: true }));
  const store = await openDirectoryStore(checkpoints, { runUid: "run" });
  const pacer = new Pacer();
  const who = { attempt: 1, parent: null, nonFiniteBefore: [], environment: {} };
  const interval = { steps: saveEvery };
  const saver = new Saver({ ...who, store, writer: writerHere(store), pacer }, null);
  onTestFinished(() => saver.close());
  const loop = new TrainingLoop(
    {
      learner: idle,
      data: {
        cursor: { epoch: 3, permutationSeed: 0, position: 0 },
        samples: 0,
        dataset: { size: 1 },
        next: () => null,
        seek: () => undefined,
      },
      steps,
      every,
      best,
      minStepMilliseconds: 0,
      interval,
      grace,
      saver,
      pacer,
      progress: new ProgressFile({ kind: "local", runUid: "run", checkpoints, interval, graceSeconds: 30 }),
      signal: new AbortController().signal,
      onStep: undefined,
      events: undefined,
    },
    { seed: 1 },
  );
  return { loop, store, saver, pacer, checkpoints };
}

/** Opens the log for the attempt that trains here, as a restore would have done. */
async function openLog(store: DirectoryStore): Promise<void> {
  const draft = { kind: "open", attempt: 1, podUid: "pod", node: "", base: null, generation: 1 } as const;
  await appendRecordAfter(store, draft, { after: 0 });
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

test("training ends where the agent has found that another pod holds the log", async () => {
  const { loop, store, saver, checkpoints } = await sceneWith({ steps: 1_000_000 });
  await openLog(store);
  await mkdir(join(checkpoints, "control"), { recursive: true });
  await writeFile(join(checkpoints, "control", controlFiles.fenced), "");
  expect(await loop.run()).toBe("fenced");
  expect([loop.step, saver.fence]).toEqual([0, null]);
});

test("a checkpoint says the same run, step, epoch, metrics and time of itself wherever it is looked for", async () => {
  const { loop, store, saver } = await sceneWith({ saveEvery: 4 });
  await openLog(store);
  await loop.run();
  await saver.inFlight?.done;
  const [ref] = (await readLog(store)).state.checkpoints;
  const directory = join(store.root, "data", "step-000000000004-a0001");
  const read = async (name: string) => JSON.parse(await readFile(join(directory, name), "utf8"));
  const [manifest, state] = [await read("MANIFEST.json"), await read("state.json")];
  const metrics = [{ name: "loss", value: "1" }];
  expect(ref).toMatchObject({ step: 4, epoch: 3, metrics, directory: "step-000000000004-a0001" });
  expect(manifest).toMatchObject({ runUid: "run", attempt: 1, step: 4, epoch: 3, metrics, digest: ref?.digest });
  expect(state).toMatchObject({ step: 4, cursor: { epoch: 3 }, metrics });
  expect(Date.parse(manifest.time)).toBeLessThanOrEqual(Date.parse(ref?.time ?? ""));
});

test("an evaluation is part of the checkpoint of its own step alone, and of every later state", async () => {
  const { loop, store, saver } = await sceneWith({
    every: { steps: 3, run: () => ({ accuracy: 0.5 }) },
    saveEvery: 4,
    steps: 5,
  });
  await openLog(store);
  await loop.run();
  await saver.inFlight?.done;
  const [ref] = (await readLog(store)).state.checkpoints;
  const directory = join(store.root, "data", "step-000000000004-a0001");
  const read = async (name: string) => JSON.parse(await readFile(join(directory, name), "utf8"));
  const loss = { name: "loss", value: "1" };
  const accuracy = { name: "accuracy", value: "0.5" };
  expect([ref?.step, ref?.metrics, (await read("MANIFEST.json")).metrics]).toEqual([4, [loss], [loss]]);
  expect(await read("state.json")).toMatchObject({ evaluatedStep: 3, metrics: [accuracy, loss] });
  expect(loop.saveRequest().metrics).toEqual([accuracy, loss]);
});

test("the best evaluation so far is saved at its own step, whatever the interval", async () => {
  const { loop, store, saver } = await sceneWith({
    every: { steps: 2, run: ({ step }) => ({ accuracy: 1 / step }) },
    best: { metric: "accuracy", mode: "Max" },
    steps: 7,
  });
  await openLog(store);
  await loop.run();
  await saver.inFlight?.done;
  const { checkpoints } = (await readLog(store)).state;
  expect(checkpoints.map(({ step, metrics }) => [step, metrics[0]])).toEqual([[2, { name: "accuracy", value: "0.5" }]]);
});

test("while saving is paused no save is begun but one that somebody asks for", async () => {
  const { loop, store, saver } = await sceneWith({ saveEvery: 1 });
  await openLog(store);
  const control = join(store.root, "control");
  await mkdir(control, { recursive: true });
  await writeFile(join(control, "saving-paused"), "the byte budget is spent");
  await loop.run();
  expect(saver.counts).toMatchObject({ committed: 0, skipped: 4 });
  const other = await sceneWith({ saveEvery: 1 });
  await openLog(other.store);
  await mkdir(join(other.store.root, "control"), { recursive: true });
  for (const name of ["saving-paused", "save"]) await writeFile(join(other.store.root, "control", name), "");
  await other.loop.run();
  await other.saver.inFlight?.done;
  expect((await readLog(other.store)).state.checkpoints).toHaveLength(1);
  expect(await readdir(join(other.store.root, "control"))).not.toContain("save");
});

test("a save has the thread during an evaluation, and no share of that time to make up for", async () => {
  const now = performance.now.bind(performance);
  let skewMs = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + skewMs);
  onTestFinished(() => clock.mockRestore());
  const free: boolean[] = [];
  const evaluate = () => {
    free.push(pacer.isFree);
    skewMs += 3_600_000;
    return { accuracy: 1 };
  };
  const { loop, pacer } = await sceneWith({ every: { steps: 2, run: evaluate } });
  const given: number[] = [];
  const advance = (untilMs: number) => {
    if (!pacer.isFree) given.push(untilMs - performance.now());
    return "nothing" as const;
  };
  pacer.attend({ advance, isStarved: false, waited: () => undefined });
  await loop.run();
  expect([free, given.length, pacer.isFree]).toEqual([[true, true], 4, false]);
  expect(Math.max(...given)).toBeLessThan(60_000);
});

test.each([
  ["fits into has no say in when to save", 30, [2, 4, 6], /^Every 2 steps, as checkpoint\.interval says/],
  [
    "does not fit into has saves made sooner",
    4,
    [2, 3, 4, 5, 6, 7],
    /^Shortened instead of every .* takes about 5 s and .* is 4 s/,
  ],
])("a grace period that the last save %s, and progress says why", async (_, seconds, saved, why) => {
  const now = performance.now.bind(performance);
  let skewMs = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + skewMs);
  onTestFinished(() => clock.mockRestore());
  // An hour passes in every evaluation, after the save before it has ended.
  const evaluate = async () => {
    await saver.inFlight?.done;
    skewMs += 3_600_000;
    return {};
  };
  const grace = { seconds, lastSaveSeconds: () => 5 };
  const { loop, store, saver } = await sceneWith({ every: { steps: 1, run: evaluate }, saveEvery: 2, steps: 7, grace });
  await openLog(store);
  await loop.run();
  await saver.inFlight?.done;
  expect((await readLog(store)).state.checkpoints.map(({ step }) => step)).toEqual(saved);
  expect(loop.progress().interval?.why).toMatch(why);
});

test("a save whose call to the volume does not return is no reason to save nothing any more", async () => {
  vi.spyOn(console, "error").mockReturnValue(undefined);
  const now = performance.now.bind(performance);
  let skewMs = 0;
  const clock = vi.spyOn(performance, "now").mockImplementation(() => now() + skewMs);
  onTestFinished(() => clock.mockRestore());
  // A minute passes in every evaluation, and whatever is saved is saved before the next step.
  const evaluate = async () => {
    skewMs += 60_000;
    if (saver.inFlight?.step !== 1) await saver.inFlight?.done;
    return {};
  };
  const { loop, store, saver } = await sceneWith({ every: { steps: 1, run: evaluate }, saveEvery: 1, steps: 14 });
  await openLog(store);
  const call = Promise.withResolvers<string[]>();
  onTestFinished(() => call.reject(new Error("the volume answered EIO")));
  vi.spyOn(store, "names").mockImplementationOnce(() => call.promise);
  await loop.run();
  await saver.inFlight?.done;
  expect((await readLog(store)).state.checkpoints.map(({ step }) => step)).toEqual([12, 13, 14]);
});

test("progress tells of the save that is going on, and when nothing but the final save is to come", async () => {
  const { loop, store, saver } = await sceneWith({ every: { steps: 2, run: () => ({}) }, saveEvery: 3 });
  await openLog(store);
  expect(loop.progress()).toMatchObject({ phase: "Training" });
  expect(loop.progress().saves.inFlight).toBeUndefined();
  await loop.run();
  const { inFlight } = loop.progress().saves;
  expect(inFlight).toEqual({ step: 3, seconds: expect.any(Number), bytes: 0, movedSeconds: 0 });
  expect(Progress.parse(loop.progress())).toMatchObject({ step: 4, targetStep: 4, phase: "Finishing" });
  await saver.inFlight?.done;
  expect(loop.progress().saves.inFlight).toBeUndefined();
});

test("while the evaluation after the last step runs, progress says that no further step is to come", async () => {
  const told: Progress[] = [];
  const run = async () => {
    const written = await readFile(join(scene.checkpoints, "control", controlFiles.progress), "utf8");
    told.push(Progress.parse(JSON.parse(written)));
    return {};
  };
  const scene: Scene = await sceneWith({ every: { steps: 4, run } });
  await mkdir(join(scene.checkpoints, "control"), { recursive: true });
  await scene.loop.run();
  expect(told).toMatchObject([{ step: 4, targetStep: 4, phase: "Training" }]);
});
