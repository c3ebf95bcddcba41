import { expect, test } from "vitest";
import { TestRun } from "./pod.ts";

/* How a checkpoint is taken up, as a pod does it: by the operator's variables, and told in progress.json. */

const settings = { STEPS: 260, WEIGHTS: 16, SEED: 11, STEP_MS: 20 };
const interval = { steps: 150 };
const longest = { timeout: 120_000 };
const policy = (wanted: object) => ({ TRAININGRUN_RESUME_POLICY: JSON.stringify(wanted) });

/** A pod that saves at step 150 and is killed some fifty steps later. */
async function killed(run: TestRun, variables: Readonly<Record<string, string>>): Promise<void> {
  const pod = await run.startPod({ settings, interval, variables });
  await pod.hears(/step 200 /);
  pod.signal("SIGKILL");
  expect((await pod.ended).signal).toBe("SIGKILL");
}

test("a pod that goes on after a kill computes the recorded steps to the same bits, and says so", longest, async () => {
  using run = new TestRun();
  const variables = policy({ replaySteps: 5 });
  await killed(run, variables);
  const end = await (await run.startPod({ settings, interval, variables })).ended;
  expect(end).toMatchObject({ code: 0, record: { kind: "done", step: 260 } });
  expect(end.progress?.resume).toEqual({
    environment: { policy: "Warn", total: 0, differences: [] },
    replay: { asked: 5, recorded: 5, compared: 5, result: "BitExact", tolerance: "0.001" },
  });
  expect(end.output).toMatch(/replay of the recorded steps: bit-exact: 5 of 5 recorded steps compared/);
});

test("a pod with other data trains on, and both the environment and the replay tell of it", longest, async () => {
  using run = new TestRun();
  const variables = policy({ replaySteps: 5 });
  await killed(run, variables);
  const end = await (await run.startPod({ settings: { ...settings, SEED: 12 }, interval, variables })).ended;
  expect(end).toMatchObject({ code: 0, record: { kind: "done", step: 260 } });
  // The script's seed is that of the rows and of their order as well.
  const members = end.progress?.resume?.environment?.differences.map(({ member }) => member);
  expect(members).toEqual(["dataset", "training.permutationSeed", "training.seed"]);
  expect(end.progress?.resume?.replay).toMatchObject({ compared: 5, result: "Differs", firstDifference: 151 });
  expect(end.output).toMatch(/the environment is not the one that saved the checkpoint: dataset is blake3:/);
  expect(end.output).toMatch(/replay of the recorded steps: differs at step 151: 1 of 5 /);
});

test(
  "a pod of another image does not train where the policy is Block, and its record names both",
  longest,
  async () => {
    using run = new TestRun();
    const image = (letter: string) => `registry.example.com/team/mnist@sha256:${letter.repeat(64)}`;
    await killed(run, { TRAININGRUN_IMAGE: image("a") });
    const variables = { TRAININGRUN_IMAGE: image("b"), ...policy({ environmentMismatch: "Block" }) };
    const end = await (await run.startPod({ settings, interval, variables })).ended;
    expect(end).toMatchObject({ code: 3, progress: null, record: { kind: "incompatible", attempt: 2 } });
    const message = end.record?.kind === "incompatible" ? end.record.message : "";
    expect(message).toMatch(
      /\(resume\.environmentMismatch is Block\): image is registry.*…a{40} in the checkpoint, registry.*…b{40} here\.$/,
    );
  },
);
