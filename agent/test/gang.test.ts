import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jsonFile } from "@trainingrun/checkpoint/file-source.ts";
import { healthy } from "@trainingrun/checkpoint/health.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { awaitCommit } from "@trainingrun/checkpoint/shards/await-commit.ts";
import { saveShard } from "@trainingrun/checkpoint/shards/save-shard.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { type AgentProcess, buildAgentOnce, Pod, removeAgent } from "./agent-process.ts";
import { nothingRecorded } from "./sample.ts";
import { TrainerRole } from "./trainer-role.ts";

beforeAll(buildAgentOnce);
afterAll(removeAgent);

/** A volume that all pods of a gang mount, and which outlives them. */
class SharedVolume {
  readonly root = mkdtempSync(join(tmpdir(), "agent-gang-"));

  constructor() {
    onTestFinished(() => rmSync(this.root, { recursive: true, force: true }));
  }

  /** The pod of one of two workers, unless there are more. */
  pod(worker: number, over: Record<string, string> = {}): Pod {
    const attempt = over.TRAININGRUN_ATTEMPT ?? "1";
    const pod = new Pod({
      TRAININGRUN_WORKER: String(worker),
      TRAININGRUN_WORKERS: "2",
      TRAININGRUN_CHECKPOINTS: this.root,
      TRAININGRUN_POD_UID: `pod-${attempt}-${worker}`,
      TRAININGRUN_NODE: `node-${worker}`,
      ...over,
    });
    onTestFinished(() => pod[Symbol.asyncDispose]());
    return pod;
  }

  async store() {
    return openDirectoryStore(this.root, { runUid: "run-uid" });
  }

  /** One of two workers saves its shard. */
  async save(worker: number, step: number, attempt = 1): Promise<void> {
    await saveShard(await this.store(), {
      ...{ runUid: "run-uid", attempt, step, worker, workers: 2, parent: null, metrics: [], health: healthy },
      files: [jsonFile("state.json", { step, worker })],
      producer: { name: "test", version: "1" },
    });
  }

  async saveAll(step: number, attempt = 1): Promise<string> {
    for (const worker of [0, 1]) await this.save(worker, step, attempt);
    const signal = AbortSignal.timeout(30_000);
    return (await awaitCommit(await this.store(), { step, attempt, signal })).digest;
  }
}

const isServing = ["serving", ({ phase }: { phase: string }) => phase === "Serving"] as const;

test("worker 1 waits for worker 0's open and says so, both start from the same bytes, and worker 0 alone commits", async () => {
  const volume = new SharedVolume();
  const [first, second] = [volume.pod(0), volume.pod(1)];
  const follower = second.start("serve");
  const waiting = await follower.until("waiting", ({ problems }) => problems.length > 0);
  expect(waiting).toMatchObject({ phase: "Restoring", worker: 1, problems: [{ reason: "WaitsForWorker0" }] });
  expect(existsSync(join(second.root, "control/restored"))).toBe(false);
  const leader = first.start("serve");
  expect(await follower.until(...isServing)).toMatchObject({
    restored: { podUid: "pod-1-1", resume: null },
    problems: [],
  });
  await leader.until(...isServing);

  await volume.save(1, 10);
  expect((await readLog(await volume.store())).state.checkpoints).toEqual([]);
  const digest = await volume.saveAll(20);
  const state = await leader.until("20 verified", ({ latestVerified }) => latestVerified?.step === 20);
  expect(state).toMatchObject({ latestVerified: { digest }, checkpoints: [{ step: 20 }] });
  new TrainerRole(first.variables).leave({ kind: "done", attempt: 1, step: 20, checkpoint: digest, metrics: [] });
  await leader.until("done", ({ done }) => done === digest);
  expect(await follower.end("SIGTERM")).toBe(0);
  expect(follower.record()).toMatchObject({ kind: "served", resumedFrom: null, latestVerified: null, done: digest });
  expect(await leader.end("SIGTERM")).toBe(0);
  expect(leader.record()).toMatchObject({ kind: "served", latestVerified: { digest }, done: digest });
  const writers = (await readLog(await volume.store())).records.flatMap((entry) =>
    "record" in entry ? entry.record.kind : [],
  );
  expect(writers).toEqual(["open", "commit", "done"]);
});

test("the next attempt's workers start where the gang has saved, and those of the last one end by themselves", async () => {
  const volume = new SharedVolume();
  const old = [volume.pod(0).start("serve"), volume.pod(1).start("serve")];
  for (const agent of old) await agent.until(...isServing);
  const digest = await volume.saveAll(20);
  const next = { TRAININGRUN_ATTEMPT: "2" };
  const pods = [volume.pod(0, next), volume.pod(1, next)];
  const agents = pods.map((pod) => pod.start("serve"));
  for (const agent of agents) {
    expect(await agent.until(...isServing)).toMatchObject({
      restored: { resume: { step: 20, digest, tier: "Volume" } },
    });
  }
  for (const pod of pods) expect(pod.read("resume/w0001/state.json")).toBe('{"step":20,"worker":1}\n');
  expect(await Promise.all(old.map((agent) => agent.exit()))).toEqual([4, 4]);
});

test("worker 1 ends where worker 0 begins the attempt anew from another checkpoint", async () => {
  const volume = new SharedVolume();
  const store = await volume.store();
  const opened = (attempt: number, base: { step: number } | null) =>
    restoreRun(store, {
      ...{ runUid: "run-uid", attempt, podUid: `pod-${attempt}-0`, node: "node-0", generation: 1 },
      expected: { ...nothingRecorded, base },
    });
  await opened(1, null);
  const trainer = new TrainerRole(volume.pod(0).variables);
  for (const step of [10, 20]) await trainer.save(step);
  const second = volume.pod(1, { TRAININGRUN_ATTEMPT: "2", TRAININGRUN_WORKERS: "1" });
  await opened(2, { step: 20 });
  const follower = second.start("serve");
  await follower.until(...isServing);
  await opened(2, { step: 10 });
  expect(await follower.exit()).toBe(4);
  expect(follower.output).toContain("worker 0 has opened attempt 2 anew");
});

test.each<[string, Record<string, string>, RegExp]>([
  [
    "a gang's checkpoint is no single pod's",
    { TRAININGRUN_WORKERS: "1" },
    /2 workers saved it, and this attempt has 1 worker;/,
  ],
  [
    "nor a larger gang's",
    { TRAININGRUN_WORKERS: "3" },
    /2 workers saved it, and this attempt has 3 workers; set spec.workers to 2/,
  ],
  [
    "and a gang without a volume of its own cannot save at all",
    { TRAININGRUN_VOLUME: "Ephemeral" },
    /access mode ReadWriteMany/,
  ],
])("%s: the attempt is incompatible, in words", async (_, over, words) => {
  const volume = new SharedVolume();
  const leader: AgentProcess = volume.pod(0).start("serve");
  await leader.until(...isServing);
  await volume.saveAll(20);
  await leader.end("SIGTERM");
  const agent = volume.pod(0, { TRAININGRUN_ATTEMPT: "2", ...over }).start("serve");
  expect(await agent.exit()).toBe(1);
  expect(agent.record()).toMatchObject({ failure: "Incompatible", message: expect.stringMatching(words) });
  expect((await readLog(await volume.store())).state.opened?.attempt).toBe(1);
});

test("shards that do not belong together are a problem that is told until another step is committed", async () => {
  const volume = new SharedVolume();
  const leader = volume.pod(0).start("serve");
  await leader.until(...isServing);
  await volume.save(0, 10);
  await saveShard(await volume.store(), {
    ...{ runUid: "run-uid", attempt: 1, step: 10, worker: 1, workers: 3, parent: null, metrics: [], health: healthy },
    files: [jsonFile("state.json", {})],
    producer: { name: "test", version: "1" },
  });
  const told = await leader.until("a problem", ({ problems }) => problems.length > 0);
  expect(told.problems).toMatchObject([
    { reason: "SaveFailed", message: expect.stringContaining("it knows 3 workers") },
  ]);
  await volume.saveAll(20);
  await leader.until("no problem", ({ problems }) => problems.length === 0);
});
