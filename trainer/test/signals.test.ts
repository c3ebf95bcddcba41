import { closeSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Random } from "../src/random.ts";
import { type PodEnd, TestRun } from "./pod.ts";

/* A trainer in a process of its own, as a pod runs it, ended in every way that a node knows. */

const settings = { STEPS: 300, WEIGHTS: 2_000, SEED: 11 };
const longest = { timeout: 180_000 };

async function undisturbed(): Promise<PodEnd> {
  using run = new TestRun();
  const end = await (await run.startPod({ settings })).ended;
  expect(end).toMatchObject({ code: 0, record: { kind: "done", attempt: 1, step: 300 } });
  return end;
}

const weightsOf = ({ record }: PodEnd) => (record?.kind === "done" ? record.weights : undefined);

test.each(["SIGTERM", "SIGKILL"] as const)(
  "ended by %s at random instants, a run ends with the weights that it has undisturbed",
  longest,
  async (signal) => {
    const expected = weightsOf(await undisturbed());
    const random = new Random({ seed: signal.length, counter: 0 });
    using run = new TestRun();
    let interruptions = 0;
    let end: PodEnd | null = null;
    while (end?.code !== 0) {
      const pod = await run.startPod({ settings, interval: { steps: 7 } });
      if (interruptions < 4) {
        await pod.hears(/attempt \d+ on plain/);
        setTimeout(() => pod.signal(signal), random.below(120));
      }
      end = await pod.ended;
      if (end.code === 0) break;
      interruptions += 1;
      if (signal === "SIGTERM") {
        expect(end).toMatchObject({ code: 143, record: { kind: "preempted", attempt: run.attempt } });
        const { record } = end;
        const saved = record?.kind === "preempted" ? [record.finalCheckpoint, record.step] : [];
        expect([
          ["Saved", (await run.state()).checkpoints.at(-1)?.step],
          ["NotAttempted", 0],
        ]).toContainEqual(saved);
      } else expect(end).toMatchObject({ signal: "SIGKILL", record: null });
    }
    expect(interruptions).toBeGreaterThan(2);
    expect(weightsOf(end)).toBe(expected);
  },
);

test("a SIGTERM before the restore is through ends the trainer at once", longest, async () => {
  using run = new TestRun();
  const pod = await run.startPod({ settings: { ...settings, STEP_MS: 5 }, restored: "never" });
  await pod.hears(/waiting for the restore/);
  pod.signal("SIGTERM");
  const end = await pod.ended;
  expect(end).toMatchObject({
    code: 143,
    record: { kind: "preempted", attempt: 1, step: 0, finalCheckpoint: "NotAttempted", checkpoint: null },
  });
});

test("a second SIGTERM changes nothing", longest, async () => {
  using run = new TestRun();
  const pod = await run.startPod({ settings: { ...settings, STEP_MS: 5 } });
  await pod.hears(/step 100 /);
  pod.signal("SIGTERM");
  pod.signal("SIGTERM");
  const end = await pod.ended;
  expect(end).toMatchObject({ code: 143, record: { kind: "preempted", finalCheckpoint: "Saved" } });
  expect(end.record?.kind === "preempted" && end.record.checkpoint).toBe(
    (await run.state()).checkpoints.at(-1)?.digest,
  );
});

test("a grace period that no save fits into is not used to begin one", longest, async () => {
  using run = new TestRun();
  const pod = await run.startPod({
    settings: { ...settings, STEP_MS: 5 },
    interval: { steps: 50 },
    graceSeconds: 0.2,
  });
  await pod.hears(/step 100 /);
  pod.signal("SIGTERM");
  const end = await pod.ended;
  expect(end).toMatchObject({
    code: 143,
    record: { kind: "preempted", finalCheckpoint: "TimedOut", checkpoint: null },
  });
  expect(end.record).toMatchObject({ step: expect.any(Number) });
});

test("a trainer that is killed in the middle of its last save has said how far it came", longest, async () => {
  using run = new TestRun();
  const pod = await run.startPod({ settings: { ...settings, STEP_MS: 5 }, interval: { steps: 1_000 } });
  await pod.hears(/step 100 /);
  // No save can be had any more: a file stands where the directories of checkpoints go.
  rmSync(join(run.checkpoints, "data"), { recursive: true, force: true });
  writeFileSync(join(run.checkpoints, "data"), "");
  pod.signal("SIGTERM");
  await pod.hears(/asked to stop after step \d+: \d+\.\d s of 20 s left/);
  pod.signal("SIGKILL");
  expect(await pod.ended).toMatchObject({
    signal: "SIGKILL",
    record: { kind: "preempted", attempt: 1, step: expect.any(Number), finalCheckpoint: "TimedOut", checkpoint: null },
  });
});

test("a checkpoint of another model is named, both sides, and not trained on", longest, async () => {
  using run = new TestRun();
  await (await run.startPod({ settings: { ...settings, STEPS: 20 } })).ended;
  const end = await (await run.startPod({ settings: { ...settings, WEIGHTS: 3_000 } })).ended;
  expect(end).toMatchObject({
    code: 3,
    record: {
      kind: "incompatible",
      attempt: 2,
      checkpoint: (await run.state()).opened?.base,
      message:
        "Cannot resume because the weights of the checkpoint must match the script's: " +
        "1 of another shape (line/weights F32[2000] in the checkpoint, F32[3000] in the script). " +
        "To load the rest, name such weights in resume.partial.",
    },
  });
});

test("a byte that changes between the restore and the load is found", longest, async () => {
  using run = new TestRun();
  await (await run.startPod({ settings: { ...settings, STEPS: 20 } })).ended;
  const pod = await run.startPod({ settings, restored: "never" });
  const restored = await run.restore(run.attempt);
  flipByte(join(restored.resume?.directory ?? "", "model.safetensors"), 5000);
  pod.announce(restored);
  const end = await pod.ended;
  expect(end).toMatchObject({ code: 1, record: null });
  expect(end.output).toContain("DamagedCheckpointError: Cannot resume because the bytes must still be those");
});

test("a save that is asked for begins at the next step, and the request is taken away", longest, async () => {
  using run = new TestRun();
  const pod = await run.startPod({ settings: { ...settings, STEP_MS: 5 }, interval: { steps: 1_000 } });
  await pod.hears(/step 100 /);
  pod.leave("save", "");
  const end = await pod.ended;
  expect(pod.exists("save")).toBe(false);
  const steps = (await run.state()).checkpoints.map(({ step }) => step);
  expect(steps).toEqual([expect.any(Number), 300]);
  expect(end.progress).toMatchObject({
    step: 300,
    targetStep: 300,
    saves: { committed: 2, failed: 0 },
    firstStep: { step: 1 },
  });
});

test("a trainer whose run was opened by a newer attempt stops writing and says so", longest, async () => {
  using run = new TestRun();
  const pod = await run.startPod({ settings: { ...settings, STEP_MS: 5 }, interval: { steps: 20 } });
  await pod.hears(/step 100 /);
  await run.restore(9);
  const end = await pod.ended;
  expect(end).toMatchObject({ code: 4, record: null });
  expect(end.output).toContain("attempt 9");
});

function flipByte(path: string, position: number): void {
  const file = openSync(path, "r+");
  writeSync(file, Buffer.from([0xff]), 0, 1, position);
  closeSync(file);
}
