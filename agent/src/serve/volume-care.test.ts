import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import type { RetentionPlan } from "@trainingrun/checkpoint/retention.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { expect, onTestFinished, test } from "vitest";
import { nothingRecorded, podVariables, restoredOf } from "../../test/sample.ts";
import { TrainerRole } from "../../test/trainer-role.ts";
import { readEnvironment } from "../environment.ts";
import type { VolumeFindings } from "./knowledge.ts";
import { VolumeCare } from "./volume-care.ts";

const plan: RetentionPlan = { keep: [], remove: [], keptBytes: 0, shrunk: null, pauseSaving: null };

/** A volume that attempt 1 has opened, of so many bytes where that matters: then it is a file system of its own. */
async function volume(over: Record<string, string> = {}, bytes: number | null = null) {
  const root = mkdtempSync(join(tmpdir(), "volume-care-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  const variables = podVariables(root, over);
  mkdirSync(join(root, "control"));
  mkdirSync(join(root, "checkpoints"));
  if (bytes !== null) {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${bytes}`, "tmpfs", join(root, "checkpoints")]);
    onTestFinished(() => void execFileSync("umount", [join(root, "checkpoints")]));
  }
  const environment = readEnvironment(AgentEnvironment, variables);
  const store = await openDirectoryStore(join(root, "checkpoints"), { runUid: "run-uid" });
  const who = { runUid: "run-uid", attempt: 1, podUid: "pod-1", node: "node-a", generation: 1 };
  await restoreRun(store, { ...who, expected: nothingRecorded });
  const trainer = new TrainerRole(variables);
  /** What a keeper that has verified everything would know. */
  const findings = async (more: Partial<VolumeFindings> = {}): Promise<VolumeFindings> => {
    const { state } = await readLog(store);
    const verified = new Set(state.checkpoints.map(({ digest }) => digest));
    const known = { attempt: 1, policy: environment.TRAININGRUN_RETENTION, fenced: false, plan, beforeMirror: null };
    return { ...known, state, verified, restored: restoredOf(0), suspected: [], problems: [], ...more };
  };
  return { root, store, trainer, findings, care: new VolumeCare(environment, store) };
}

test("the names follow what is verified, and stay where they are once the agent is fenced", async () => {
  const best = { metric: "loss", mode: "Min", count: 1 };
  const retention = JSON.stringify({ last: 2, best, everySteps: null, maxBytes: null });
  const { root, care, trainer, findings } = await volume({ TRAININGRUN_RETENTION: retention });
  await trainer.save(10, [{ name: "loss", value: "0.1" }]);
  await trainer.save(20, [{ name: "loss", value: "0.2" }]);
  const steps = () =>
    ["latest", "best"].map((name) => Number(readlinkSync(join(root, "checkpoints", name)).slice(10, 22)));
  await care.pointNames(await findings());
  expect(steps()).toEqual([20, 10]);
  await trainer.save(30, [{ name: "loss", value: "0.05" }]);
  await care.pointNames(await findings({ fenced: true }));
  expect(steps()).toEqual([20, 10]);
  await care.pointNames(await findings());
  expect(steps()).toEqual([30, 30]);
  expect(care.problems).toEqual([]);
});

test("a name that cannot be moved is a problem until it can, and stops nothing", async () => {
  const { root, care, trainer, findings } = await volume();
  await trainer.save(10);
  mkdirSync(join(root, "checkpoints", "latest"));
  await care.pointNames(await findings());
  expect(care.problems).toMatchObject([{ reason: "NamesBehind", message: expect.stringContaining("EISDIR") }]);
  rmSync(join(root, "checkpoints", "latest"), { recursive: true });
  await care.pointNames(await findings());
  expect(care.problems).toEqual([]);
});

test("the trainer is asked to pause while byte budget or log are full, and to go on after it", async () => {
  const { root, care, findings } = await volume();
  const paused = join(root, "control", "saving-paused");
  writeFileSync(paused, "by an earlier life of this agent");
  await care.pauseSaving(await findings());
  expect(existsSync(paused)).toBe(false);
  const spent = { limit: "Budget", overview: "2 bytes kept, 1 for the next, 2 allowed" } as const;
  await care.pauseSaving(await findings({ plan: { ...plan, pauseSaving: spent } }));
  expect(readFileSync(paused, "utf8")).toBe(
    "The byte budget has no room for another checkpoint: 2 bytes kept, 1 for the next, 2 allowed\n",
  );
  const full = { limit: "Log", overview: "9 checkpoints" } as const;
  await care.pauseSaving(await findings({ plan: { ...plan, pauseSaving: full } }));
  expect(readFileSync(paused, "utf8")).toBe("The log has no room for another checkpoint: 9 checkpoints\n");
  await care.pauseSaving(await findings());
  expect(existsSync(paused)).toBe(false);
});

test("a volume that fills up is announced before a save fails, and no more once there is room", async ({ skip }) => {
  skip(process.platform !== "linux" || process.getuid?.() !== 0, "mounting a small file system needs root on Linux");
  const { root, care, trainer, findings } = await volume({}, 1024 * 1024);
  await trainer.save(10, [], 200_000);
  await care.foresee(await findings(), null);
  expect(care.problems).toEqual([]);
  const other = join(root, "checkpoints", "another-run");
  writeFileSync(other, new Uint8Array(400_000));
  await care.foresee(await findings(), null);
  expect(care.problems).toEqual([
    {
      reason: "VolumeFilling",
      message: expect.stringMatching(
        /^The volume has room for 1 more checkpoint: one takes 200 kB, and \d+ kB are free. Give it more space, or .*: suspend and resume the run\.$/,
      ),
    },
  ]);
  writeFileSync(other, new Uint8Array(700_000));
  await care.foresee(await findings(), null);
  expect(care.problems[0]?.message).toContain("The volume has no room for the next checkpoint");
  await expect(trainer.save(20, [], 200_000)).rejects.toThrow("ENOSPC");
  expect((await trainer.state()).checkpoints).toHaveLength(1);
  rmSync(other);
  await care.foresee(await findings(), null);
  expect(care.problems).toEqual([]);
  await trainer.save(30, [], 200_000);
  expect((await findings()).state.checkpoints.map(({ step }) => step)).toEqual([10, 30]);
});

test("what a save in flight has written is not counted twice", async ({ skip }) => {
  skip(process.platform !== "linux" || process.getuid?.() !== 0, "mounting a small file system needs root on Linux");
  const { root, care, trainer, findings } = await volume({}, 1024 * 1024);
  await trainer.save(10, [], 200_000);
  const saving = join(root, "checkpoints", "data", ".saving-20-a1-0123", "nested");
  mkdirSync(saving, { recursive: true });
  writeFileSync(join(saving, "model.bin"), new Uint8Array(190_000));
  writeFileSync(join(root, "checkpoints", "another-run"), new Uint8Array(330_000));
  await care.foresee(await findings(), null);
  expect(care.problems).toEqual([]);
});
