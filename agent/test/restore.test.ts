import { existsSync, mkdtempSync, readFileSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Expected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { DirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { ObjectStoreError } from "@trainingrun/checkpoint/store/object/object-store-error.ts";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { readEnvironment } from "../src/environment.ts";
import { takeUp } from "../src/restore.ts";
import { restoreCommand } from "../src/restore-command.ts";
import { nothingRecorded, podVariables } from "./sample.ts";
import { TrainerRole } from "./trainer-role.ts";

let volume: string;
const never = new AbortController().signal;
const roots: string[] = [];

beforeEach(() => {
  for (const said of ["log", "warn", "error"] as const) vi.spyOn(console, said).mockReturnValue(undefined);
  volume = directory();
});
afterEach(() => {
  for (const root of roots.splice(0)) rmSync(root, { recursive: true, force: true });
});

function directory(): string {
  const root = mkdtempSync(join(tmpdir(), "agent-restore-"));
  roots.push(root);
  return root;
}

/** One pod of the run: its own directories, the run's volume, and `agent restore` in it. */
class RestoringPod {
  readonly root = directory();
  readonly variables: Record<string, string>;
  readonly trainer: TrainerRole;

  constructor(attempt: number, over: Record<string, string> = {}, expected: Partial<Expected> = {}) {
    this.variables = podVariables(this.root, {
      TRAININGRUN_CHECKPOINTS: volume,
      TRAININGRUN_ATTEMPT: String(attempt),
      TRAININGRUN_POD_UID: `pod-${attempt}`,
      TRAININGRUN_EXPECTED: JSON.stringify({ ...nothingRecorded, ...expected }),
      ...over,
    });
    this.trainer = new TrainerRole(this.variables);
  }

  restore(stop = never): Promise<number> {
    return restoreCommand(readEnvironment(AgentEnvironment, this.variables), stop);
  }

  takeUp() {
    return takeUp(readEnvironment(AgentEnvironment, this.variables), never);
  }

  /** The step that the resume link leads to, null where there is none. */
  resumeStep(): number | null {
    const link = join(this.root, "resume");
    return existsSync(link) ? JSON.parse(readFileSync(join(link, "state.json"), "utf8")).step : null;
  }

  restored(): Restored | null {
    const path = join(this.root, "control/restored");
    return existsSync(path) ? Restored.parse(JSON.parse(readFileSync(path, "utf8"))) : null;
  }

  record(): AgentRecord {
    return AgentRecord.parse(JSON.parse(readFileSync(join(this.root, "termination-log"), "utf8")));
  }
}

/** A first attempt that has saved these steps. */
async function trained(...steps: number[]) {
  const pod = new RestoringPod(1);
  expect(await pod.restore()).toBe(0);
  const saved = [];
  for (const step of steps) saved.push(await pod.trainer.save(step));
  return saved;
}

test("a first start opens the attempt at step 0, and removes the link of an earlier life", async () => {
  const pod = new RestoringPod(1);
  symlinkSync("/elsewhere", join(pod.root, "resume"));
  expect(await pod.restore()).toBe(0);
  expect(pod.restored()).toMatchObject({ attempt: 1, podUid: "pod-1", resume: null, refused: [] });
  expect(pod.resumeStep()).toBeNull();
  expect((await pod.trainer.state()).opened).toMatchObject({ attempt: 1, podUid: "pod-1", node: "node-a", base: null });
});

test("the next attempt resumes from the newest checkpoint, and the link leads to it", async () => {
  const [, newest] = await trained(10, 20);
  const pod = new RestoringPod(2);
  expect(await pod.restore()).toBe(0);
  expect(pod.resumeStep()).toBe(20);
  const { resume } = pod.restored() ?? {};
  expect(resume).toMatchObject({ step: 20, attempt: 1, digest: newest?.manifest.digest, tier: "Volume" });
  expect(readlinkSync(join(pod.root, "resume"))).toBe(resume?.directory);
});

test("a damaged newest checkpoint is refused with its reason, and the older one is used", async () => {
  const [, newest] = await trained(10, 20);
  if (newest) new RestoringPod(1).trainer.damage(newest);
  const pod = new RestoringPod(2);
  expect(await pod.restore()).toBe(0);
  expect(pod.resumeStep()).toBe(10);
  const digest = newest?.manifest.digest;
  expect(pod.restored()?.refused).toMatchObject([{ step: 20, digest, reason: "BytesDiffer", node: "node-a" }]);
  expect((await pod.trainer.state()).refused).toMatchObject([{ digest, attempt: 2, reason: "BytesDiffer" }]);
});

test("where nothing verifies nothing is opened, and the verdict is in the termination log", async () => {
  const [only] = await trained(10);
  if (only) new RestoringPod(1).trainer.damage(only);
  const pod = new RestoringPod(2);
  expect(await pod.restore()).toBe(1);
  expect(pod.record()).toMatchObject({
    kind: "restore-failed",
    attempt: 2,
    failure: "NoVerifiedCheckpoint",
    refused: [{ step: 10, reason: "BytesDiffer" }],
  });
  expect((await pod.trainer.state()).opened?.attempt).toBe(1);
  expect([pod.restored(), pod.resumeStep()]).toEqual([null, null]);
});

test("a restarted restore repeats its verdict without judging again, even when it would be another by now", async () => {
  const [only] = await trained(10);
  const before = readFileSync(join(volume, "data", String(only?.directory), "state.json"));
  if (only) new RestoringPod(1).trainer.damage(only);
  const pod = new RestoringPod(2);
  await pod.restore();
  const verdict = pod.record();
  writeFileSync(join(volume, "data", String(only?.directory), "state.json"), before);
  rmSync(join(pod.root, "termination-log"));
  expect(await pod.restore()).toBe(1);
  expect(pod.record()).toEqual(verdict);
  expect((await pod.trainer.state()).opened?.attempt).toBe(1);
  expect(await new RestoringPod(3).restore()).toBe(0);
});

test("an empty volume is no first start when the operator has a checkpoint on record (I10)", async () => {
  const recorded = { step: 40, digest: `blake3:${"4".repeat(64)}` };
  const pod = new RestoringPod(2, {}, { latestVerified: recorded, recorded: [recorded] });
  expect(await pod.restore()).toBe(1);
  expect(pod.record()).toMatchObject({ failure: "NoVerifiedCheckpoint", message: expect.stringContaining("step 40") });
});

test("a second open of the same attempt by another pod is refused", async () => {
  await trained(10);
  expect(await new RestoringPod(2).restore()).toBe(0);
  const other = new RestoringPod(2, { TRAININGRUN_POD_UID: "pod-2b" });
  expect(await other.restore()).toBe(1);
  expect(other.record()).toMatchObject({ failure: "Fenced" });
  expect(other.record()).not.toHaveProperty("fencedBy");
  expect(other.restored()).toBeNull();
});

test("an attempt below one that is open says which, for the operator to number above it", async () => {
  await trained(10);
  expect(await new RestoringPod(9).restore()).toBe(0);
  const late = new RestoringPod(4);
  expect(await late.restore()).toBe(1);
  expect(late.record()).toMatchObject({
    failure: "Fenced",
    fencedBy: 9,
    message: expect.stringContaining("attempt 9"),
  });
});

test("the same pod's restore may be repeated: it finds its own open and hands over the same", async () => {
  await trained(10);
  const pod = new RestoringPod(2);
  await pod.restore();
  const first = pod.restored();
  rmSync(join(pod.root, "control"), { recursive: true });
  rmSync(join(pod.root, "resume"));
  expect(await pod.restore()).toBe(0);
  expect(pod.restored()?.resume).toEqual(first?.resume);
  expect(pod.resumeStep()).toBe(10);
  expect((await pod.trainer.state()).last).toBe(3);
});

test("a restore that is told to stop before its open changes nothing", async () => {
  await trained(10);
  const pod = new RestoringPod(2);
  expect(await pod.restore(AbortSignal.abort())).toBe(143);
  expect((await pod.trainer.state()).opened?.attempt).toBe(1);
  expect([pod.restored(), pod.resumeStep()]).toEqual([null, null]);
});

test("a volume that is a file is StorageUnavailable, not an empty volume", async () => {
  rmSync(volume, { recursive: true });
  writeFileSync(volume, "");
  const pod = new RestoringPod(1);
  expect(await pod.restore()).toBe(1);
  expect(pod.record()).toMatchObject({
    failure: "StorageUnavailable",
    message: expect.stringMatching(/^Cannot open the checkpoints because .*(ENOTDIR|EEXIST)/),
  });
});

test("an object store that cannot be used is StorageUnavailable, and its problem is named", async () => {
  const settings = JSON.stringify({ endpoint: "http://127.0.0.1:1", bucket: "checkpoints" });
  const pod = new RestoringPod(1, { TRAININGRUN_OBJECT_STORE: settings, TRAININGRUN_CREDENTIALS: directory() });
  expect(await pod.restore()).toBe(1);
  expect(pod.record()).toMatchObject({ failure: "StorageUnavailable", problem: "CredentialsMissing" });
});

test("an object store that fails while its log is read is StorageUnavailable, and its problem is named", async () => {
  const pod = new RestoringPod(1);
  const refusal = new ObjectStoreError("AccessDenied", "Cannot list log/: let these keys list.");
  vi.spyOn(DirectoryStore.prototype, "recordNumbers").mockRejectedValueOnce(refusal);
  expect(await pod.restore()).toBe(1);
  expect(pod.record()).toMatchObject({ failure: "StorageUnavailable", problem: "AccessDenied" });
});

test("a control directory that cannot be written is StorageUnavailable", async () => {
  const pod = new RestoringPod(1);
  writeFileSync(join(pod.root, "control"), "");
  expect(await pod.restore()).toBe(1);
  expect(pod.record()).toMatchObject({ failure: "StorageUnavailable" });
});

test.each([
  ["TypeError: numbers is not iterable", new TypeError("numbers is not iterable")],
  ["TypeError: a path must be text", Object.assign(new TypeError("a path must be text"), { code: "ERR_INVALID_ARG" })],
])(
  "an error that is not the volume's is a defect of the agent, with its trace in the log: %s",
  async (words, error) => {
    const pod = new RestoringPod(1);
    vi.spyOn(DirectoryStore.prototype, "recordNumbers").mockRejectedValueOnce(error);
    expect(await pod.restore()).toBe(1);
    expect(pod.record()).toMatchObject({
      failure: "AgentDefect",
      message: `Cannot restore because of a defect of the agent, whose log has the trace (report it): ${words}`,
    });
    expect(console.error).toHaveBeenCalledWith(expect.any(TypeError));
  },
);

test("serve takes up what restore handed over, and only in the same pod", async () => {
  await trained(10);
  const pod = new RestoringPod(2, { TRAININGRUN_FRAMEWORK: "lightning" });
  expect(await pod.takeUp()).toMatchObject({ kind: "failed", record: { failure: "StorageUnavailable" } });
  await pod.restore();
  expect(await pod.takeUp()).toMatchObject({ kind: "restored", restored: { resume: { step: 10 } } });
  pod.variables.TRAININGRUN_POD_UID = "pod-9";
  expect(await pod.takeUp()).toMatchObject({ kind: "failed" });
});

test("an agent that is restarted while the volume is away serves on, and does not end the training", async () => {
  const pod = new RestoringPod(1);
  await pod.restore();
  pod.variables.TRAININGRUN_CHECKPOINTS = join(pod.root, "away");
  const taken = await pod.takeUp();
  expect(taken).toMatchObject({ kind: "restored", restored: { attempt: 1 } });
  if (taken.kind !== "restored") return;
  await expect(readLog(taken.store)).rejects.toThrow("Cannot list the log because the volume answered ENOENT");
  expect(existsSync(join(pod.root, "away"))).toBe(false);
});

test("a checkpoint of another run is copied from where its claim is mounted, and opened on", async () => {
  const [, saved] = await trained(10, 20);
  const source = volume;
  volume = directory();
  const by = { run: "run-uid", checkpoint: { step: 20 }, volume: source, since: 1 };
  const forking = { base: { source: by } };
  const fork = new RestoringPod(1, { TRAININGRUN_UID: "fork-uid" }, forking);
  expect(await fork.restore()).toBe(0);
  expect(fork.resumeStep()).toBe(20);
  expect(fork.restored()?.resume).toMatchObject({ step: 20, attempt: 1, tier: "Volume" });
  expect(fork.restored()?.resume?.digest).not.toBe(saved?.manifest.digest);
  const { state } = await readLog(new DirectoryStore(source, "run-uid"));
  expect([state.opened?.podUid, state.checkpoints.length]).toEqual(["pod-1", 2]);
});

test("a claim that holds nothing of the other run is no tier that is away: the checkpoint is missing", async () => {
  const source = { run: "other-uid", checkpoint: { step: 20 }, volume: directory(), since: 1 };
  const fork = new RestoringPod(1, {}, { base: { source } });
  expect(await fork.restore()).toBe(1);
  expect(fork.record()).toMatchObject({
    failure: "NoVerifiedCheckpoint",
    message:
      "Cannot restore attempt 1 because the checkpoint of run other-uid cannot be copied: nothing of that run is there",
  });
});
