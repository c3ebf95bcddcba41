import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { buildAgentOnce, Pod, removeAgent } from "../../agent/test/agent-process.ts";
import { projectDirectory } from "../cluster/images/project-images.ts";
import { Diary, type Entry } from "./diary.ts";
import { programFiles, programName } from "./program.ts";

/** As in a pod: the bundle that the ConfigMap holds, and the agent beside it where there is one. */
const program = mkdtempSync(join(tmpdir(), "plain-container-"));
const packages = join(projectDirectory, "node_modules");
const started: ChildProcess[] = [];
let directory: string;

beforeAll(async () => {
  const files = Object.entries(await programFiles());
  for (const [name, text] of files) writeFileSync(join(program, name), text);
  // What a ConfigMap holds, base64 not counted.
  expect(files.reduce((sum, [, text]) => sum + Buffer.byteLength(text), 0)).toBeLessThan(2 ** 20);
  await buildAgentOnce();
});
afterAll(() => {
  removeAgent();
  rmSync(program, { recursive: true });
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "diary-"));
  return () => {
    for (const child of started.splice(0)) child.kill("SIGKILL");
    rmSync(directory, { recursive: true });
  };
});

function start(variables: Readonly<Record<string, string>> = {}): ChildProcess {
  const child = spawn(process.execPath, [join(program, programName)], {
    env: { PATH: String(process.env.PATH), RECOVERY_DIARY: directory, NODE_PATH: packages, ...variables },
    stdio: ["ignore", "ignore", "inherit"],
  });
  started.push(child);
  return child;
}

async function written(what: Entry["what"], after: number): Promise<number> {
  return (await new Diary(directory).next(what, { after, signal: AbortSignal.timeout(20_000) })).atMs;
}

async function endOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  return child.exitCode;
}

test("ends with 143, however often it is asked to stop", async () => {
  const child = start();
  await written("running", 0);
  child.kill("SIGTERM");
  child.kill("SIGTERM");
  expect(await endOf(child)).toBe(143);
});

test("crashes where a file tells it to, once, and says when", async () => {
  const child = start();
  await written("running", 0);
  writeFileSync(join(directory, "crash"), "");
  expect(await endOf(child)).toBe(1);
  const crashedMs = await written("crashed", 1);
  start();
  expect(await written("running", 2)).toBeGreaterThanOrEqual(crashedMs);
  expect((await new Diary(directory).entries()).map(({ what }) => what)).toEqual(["running", "crashed", "running"]);
});

test("under a TrainingRun runs once its restore is through, and goes on from the step that the one before saved", async () => {
  const volume = mkdtempSync(join(tmpdir(), "plain-volume-"));
  try {
    for (const attempt of [1, 2]) {
      const number = { TRAININGRUN_ATTEMPT: String(attempt), TRAININGRUN_POD_UID: `pod-${attempt}` };
      await using pod = new Pod({ ...number, TRAININGRUN_CHECKPOINTS: volume });
      const log = join(pod.root, "trainer-termination-log");
      const child = start({ ...pod.variables, TRAININGRUN_TERMINATION_LOG: log });
      expect(await new Diary(directory).entries()).toHaveLength(attempt - 1);
      const agent = pod.start("serve");
      await written("running", attempt - 1);
      const { latestVerified } = await agent.until(
        "a verified step",
        (state) => state.latestVerified?.step === attempt,
      );
      child.kill("SIGTERM");
      expect(await endOf(child)).toBe(143);
      const record = TrainerRecord.parse(JSON.parse(readFileSync(log, "utf8")));
      const checkpoint = latestVerified?.digest;
      expect(record).toMatchObject({ kind: "preempted", attempt, step: attempt, finalCheckpoint: "Saved", checkpoint });
      expect(await agent.end("SIGTERM")).toBe(0);
      expect(agent.record()).toMatchObject({ kind: "served", lastStep: attempt });
    }
  } finally {
    rmSync(volume, { recursive: true });
  }
});
