import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
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
