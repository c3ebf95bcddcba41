import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { recordBytes } from "@trainingrun/checkpoint/log/record.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type AgentProcess, buildAgentOnce, Pod, removeAgent } from "./agent-process.ts";
import { nothingRecorded, progressAt } from "./sample.ts";
import { TrainerRole } from "./trainer-role.ts";

beforeAll(buildAgentOnce);
afterAll(removeAgent);

/** A pod whose agent serves. */
async function serving(over: Record<string, string> = {}) {
  const pod = new Pod(over);
  const agent = pod.start("serve");
  await agent.until("serving", ({ phase }) => phase === "Serving");
  return { pod, agent, trainer: new TrainerRole(pod.variables) };
}

const verifiedStep = (step: number) =>
  [
    `step ${step} verified`,
    ({ latestVerified }: { latestVerified: { step: number } | null }) => latestVerified?.step === step,
  ] as const;

/** Opens the next attempt on the same volume, as another pod's restore would. */
async function openNext(trainer: TrainerRole, attempt: number): Promise<void> {
  const who = { runUid: "run-uid", attempt, podUid: `pod-${attempt}`, node: "node-b", generation: 1 };
  const outcome = await restoreRun(await trainer.store(), { ...who, expected: nothingRecorded });
  expect(outcome.kind).toBe("restored");
}

test("a run from its first checkpoint to its last: reported, verified, pruned, and on record at the end", async () => {
  const best = { metric: "loss", mode: "Min", count: 1 };
  await using scene = disposable(
    await serving({ TRAININGRUN_RETENTION: JSON.stringify({ last: 2, best, everySteps: null, maxBytes: null }) }),
  );
  const { pod, agent, trainer } = scene;
  trainer.write(
    "progress.json",
    JSON.stringify(progressAt(11, { firstStep: { step: 1, time: "2030-01-01T12:00:00Z" } })),
  );
  const saved = [];
  for (const [step, loss] of [
    [10, "0.9"],
    [20, "0.1"],
    [30, "0.5"],
    [40, "0.6"],
    [50, "0.7"],
  ] as const) {
    saved.push(await trainer.save(step, [{ name: "loss", value: loss }]));
    await agent.until(...verifiedStep(step));
  }
  const state = await agent.until("10 and 30 pruned", ({ checkpoints }) => checkpoints.length === 3);
  expect(state).toMatchObject({
    progress: { step: 11 },
    restored: { resume: null },
    latestVerified: { step: 50, digest: saved[4]?.manifest.digest, tiers: ["Volume"] },
    best: { step: 20 },
    checkpoints: [
      { step: 50, verified: true, kept: ["verified", "last"] },
      { step: 40, verified: true, kept: ["verified", "last"] },
      { step: 20, verified: true, kept: ["best:loss"] },
    ],
    problems: [],
  });
  expect(readdirSync(join(pod.root, "checkpoints/data")).filter((name) => !name.startsWith("."))).toHaveLength(3);

  const stepOf = (name: string) => JSON.parse(pod.read(join("checkpoints", name, "state.json"))).step;
  expect([stepOf("latest"), stepOf("best")]).toEqual([50, 20]);

  const metrics = await (await agent.fetch("/metrics")).text();
  expect(metrics).toMatch(/^trainingrun_agent_checkpoints_verified_total\{[^}]*\} 5$/m);
  expect(metrics).toMatch(/^trainingrun_agent_checkpoints_pruned_total\{[^}]*\} 2$/m);
  expect(metrics).toMatch(/^trainingrun_agent_latest_verified_step\{[^}]*\} 50$/m);

  const final = await trainer.save(60, [{ name: "loss", value: "0.4" }]);
  const checkpoint = final.manifest.digest;
  trainer.leave({ kind: "done", attempt: 1, step: 60, checkpoint, metrics: [] });
  expect(await agent.end("SIGTERM")).toBe(0);
  expect(agent.record()).toMatchObject({
    kind: "served",
    attempt: 1,
    resumedFrom: null,
    lastStep: 11,
    firstStepTime: "2030-01-01T12:00:00Z",
    latestVerified: { step: 60, digest: checkpoint },
    best: { step: 20 },
    done: checkpoint,
    refused: [],
    verificationFailures: 0,
  });
  expect((await trainer.state()).done).toEqual({ attempt: 1, manifest: checkpoint });
});

test("a byte budget with no room for another checkpoint pauses the trainer's saving, and says so", async () => {
  const retention = JSON.stringify({ last: 2, best: null, everySteps: null, maxBytes: 2500 });
  await using scene = disposable(await serving({ TRAININGRUN_RETENTION: retention }));
  const { pod, agent, trainer } = scene;
  for (const step of [10, 20]) await trainer.save(step);
  // The plan that pauses may be older than the last verdict, and what it says of each is told anew with the next.
  const { problems, checkpoints } = await agent.until(
    "a pause, with both verified",
    (state) => state.problems.length > 0 && state.checkpoints.every(({ kept }) => kept?.includes("verified")),
  );
  expect(problems).toEqual([
    {
      reason: "BudgetSpent",
      message: expect.stringMatching(
        /no room for another checkpoint .*\(20\d\d bytes kept, 10\d\d for the next checkpoint, 2500/,
      ),
    },
  ]);
  expect(checkpoints.map(({ step, kept }) => [step, kept])).toEqual([
    [20, ["verified"]],
    [10, ["verified"]],
  ]);
  await expect.poll(() => readdirSync(join(pod.root, "control"))).toContain("saving-paused");
});

test("a bit that flipped after the commit is found and shown, and not refused on the word of a moment", async () => {
  await using scene = disposable(await serving());
  const { agent, trainer } = scene;
  await trainer.save(10);
  await agent.until(...verifiedStep(10));
  await trainer.saveDamaged(20);
  const state = await agent.until("a problem", ({ problems }) => problems.length === 1);
  expect(state.problems).toEqual([
    {
      reason: "CheckpointUnmatched",
      message: expect.stringMatching(/^Step 20 does not verify, .* chunk 0 of "state.json"/),
    },
  ]);
  expect(state).toMatchObject({ latestVerified: { step: 10 }, refused: [], verificationFailures: 0 });
  expect((await trainer.state()).refused).toEqual([]);
});

test("a run whose final checkpoint is damaged is not done (I9)", async () => {
  await using scene = disposable(await serving());
  const { agent, trainer } = scene;
  await agent.held(async () => {
    await trainer.save(10);
    const final = await trainer.saveDamaged(20);
    trainer.leave({ kind: "done", attempt: 1, step: 20, checkpoint: final.manifest.digest, metrics: [] });
  });
  expect(await agent.end("SIGTERM")).toBe(0);
  expect(agent.record()).toMatchObject({ done: null, latestVerified: { step: 10 } });
  expect((await trainer.state()).done).toBeNull();
});

test("a done record that another attempt left behind ends nothing", async () => {
  await using scene = disposable(await serving());
  const { agent, trainer } = scene;
  const saved = await trainer.save(10);
  trainer.leave({ kind: "done", attempt: 7, step: 10, checkpoint: saved.manifest.digest, metrics: [] });
  expect(await agent.end("SIGTERM")).toBe(0);
  expect(agent.record()).toMatchObject({ done: null, latestVerified: { step: 10 } });
});

test("an agent whose machine stood still while a higher attempt opened ends by itself, and writes nothing", async () => {
  const retention = JSON.stringify({ last: 2, best: null, everySteps: null, maxBytes: null });
  await using scene = disposable(await serving({ TRAININGRUN_RETENTION: retention }));
  const { pod, agent, trainer } = scene;
  const files = () => [
    ...readdirSync(join(pod.root, "checkpoints/log")),
    ...readdirSync(join(pod.root, "checkpoints/data")),
  ];
  for (const step of [10, 20]) await trainer.save(step);
  await agent.until(...verifiedStep(20));
  let before: string[] = [];
  await agent.held(async () => {
    // As much as it would verify, prune and end with, had it not been given up meanwhile.
    for (const step of [30, 40]) await trainer.save(step);
    trainer.leave({ kind: "done", attempt: 1, step: 40, checkpoint: `blake3:${"0".repeat(64)}`, metrics: [] });
    await openNext(trainer, 2);
    before = files();
  });
  expect(await agent.exit()).toBe(4);
  expect(agent.output).toMatch(/fenced and writes nothing any more: .*attempt 2 has opened the log/);
  expect(agent.record()).toMatchObject({ kind: "served", attempt: 1, done: null });
  expect(files()).toEqual(before);
  // The volume may be the pod's own: what its trainer cannot see there, it reads here.
  expect(pod.read("control/fenced")).toMatch(/^Another pod holds the log/);
});

test("a fenced agent that its kubelet starts again ends again", async () => {
  await using scene = disposable(await serving());
  const { pod, agent, trainer } = scene;
  await openNext(trainer, 2);
  expect(await agent.exit()).toBe(4);
  const { last } = await trainer.state();
  pod.remove("control/fenced");
  expect(await pod.start("serve").exit()).toBe(4);
  expect((await trainer.state()).last).toBe(last);
  expect(pod.read("control/fenced")).toMatch(/^Another pod holds the log/);
});

test("killed and restarted in the same pod, it finds its own open, verifies anew and goes on", async () => {
  await using scene = disposable(await serving());
  const { pod, agent, trainer } = scene;
  await trainer.save(10);
  await agent.until(...verifiedStep(10));
  expect(await agent.end("SIGKILL")).toBeNull();
  // What a killed agent had verified stands in its termination log already.
  expect(agent.record()).toMatchObject({ latestVerified: { step: 10 } });
  await trainer.save(20);
  const again = pod.start("serve");
  const state = await again.until(...verifiedStep(20));
  expect(state.checkpoints).toMatchObject([{ step: 20, verified: true }, { step: 10 }]);
  expect((await trainer.state()).opened).toMatchObject({ attempt: 1, podUid: "pod-1", number: 1 });
});

test("what was committed just before the signal is verified after it", async () => {
  await using scene = disposable(await serving());
  const { agent, trainer } = scene;
  let saved = await trainer.save(10);
  await agent.held(async () => {
    saved = await trainer.save(20);
  });
  const record = { attempt: 1, step: 20, finalCheckpoint: "Saved", checkpoint: saved.manifest.digest } as const;
  trainer.leave({ kind: "preempted", ...record, graceUsedSeconds: 4 });
  expect(await agent.end("SIGTERM")).toBe(0);
  expect(agent.record()).toMatchObject({ latestVerified: { step: 20, digest: saved.manifest.digest }, done: null });
});

test("the log of an attempt that goes on and on is not read from its beginning for ever", async () => {
  await using scene = disposable(await serving());
  const { pod, trainer } = scene;
  const common = { version: 1, writer: "w", attempt: 1, time: "2030-01-01T12:00:00Z" } as const;
  const nothing = { ...common, kind: "done", manifest: `blake3:${"0".repeat(64)}` } as const;
  for (let number = 2; number <= 1001; number += 1) {
    const name = `${String(number).padStart(12, "0")}.json`;
    writeFileSync(join(pod.root, "checkpoints/log", name), recordBytes(nothing));
  }
  const opened = async () => (await trainer.state()).opened;
  await expect
    .poll(opened, { timeout: 45_000 })
    .toMatchObject({ attempt: 1, podUid: "pod-1", base: null, number: 1002 });
});

test("a save is asked for by a file that stays until the trainer takes it, for this pod only", async () => {
  await using scene = disposable(await serving());
  const { pod, agent } = scene;
  expect((await agent.fetch("/v1/save?run=run-uid&pod=other", { method: "POST" })).status).toBe(409);
  expect(readdirSync(join(pod.root, "control"))).not.toContain("save");
  for (let ask = 0; ask < 2; ask += 1) {
    expect((await agent.fetch("/v1/save?run=run-uid&pod=pod-1", { method: "POST" })).status).toBe(202);
  }
  expect(pod.read("control/save")).toBe("");
});

test.each([
  ["a failed restore", {}, "serve", 1, '"failure":"NoVerifiedCheckpoint"'],
  ["a missing variable", { TRAININGRUN_UID: "" }, "serve", 2, "TRAININGRUN_UID is not set"],
  ["no such command", {}, "train", 2, "the command must be restore, serve or delete: train"],
  [
    "an address of another machine",
    { TRAININGRUN_POD_IP: "192.0.2.1" },
    "serve",
    3,
    "Cannot serve because 192.0.2.1:9464",
  ],
] as const)("%s ends the program with its own code and a message in the termination log", async (...row) => {
  const [, over, command, code, words] = row;
  const recorded = { step: 4, digest: `blake3:${"4".repeat(64)}` };
  const expected = JSON.stringify({ ...nothingRecorded, latestVerified: recorded, recorded: [recorded] });
  await using pod = new Pod({ TRAININGRUN_EXPECTED: expected, ...over });
  const agent = pod.start(command);
  expect(await agent.exit()).toBe(code);
  expect(pod.read("termination-log")).toContain(words);
});

test("progress that is torn, of another version or empty does not take the last step back", async () => {
  await using scene = disposable(await serving());
  const { agent, trainer } = scene;
  trainer.write("progress.json", JSON.stringify(progressAt(7)));
  await agent.until("step 7", ({ progress }) => progress?.step === 7);
  for (const text of ["{", '{"version":2}', ""]) {
    trainer.write("progress.json", text);
    expect((await agent.until("an answer", () => true)).progress?.step).toBe(7);
  }
});

function disposable<T extends { pod: Pod; agent: AgentProcess }>(scene: T): T & AsyncDisposable {
  return Object.assign(scene, { [Symbol.asyncDispose]: () => scene.pod[Symbol.asyncDispose]() });
}
