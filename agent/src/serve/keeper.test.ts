import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import type { Expected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { StorageUnavailableError } from "@trainingrun/checkpoint/store/store.ts";
import { beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { keepMany, ServingPod, savedPod } from "../../test/mirror-scene.ts";
import { nothingRecorded } from "../../test/sample.ts";

beforeEach(() => {
  for (const said of ["log", "warn", "error"] as const) vi.spyOn(console, said).mockReturnValue(undefined);
});

const verifiedSteps = ({ knowledge }: ServingPod) =>
  knowledge.shelf.filter(({ verified }) => verified).map(({ summary }) => summary.step);
const problemsOf = ({ knowledge }: ServingPod) => knowledge.problems.map(({ reason }) => reason);
/** What the log refuses for good. */
const refusedSteps = ({ keeper }: ServingPod) => {
  const { checkpoints, refused } = keeper.findings.state;
  return refused.map(({ digest }) => checkpoints.find((ref) => ref.digest === digest)?.step);
};
/** What the operator is told. */
const toldSteps = ({ knowledge }: ServingPod) => knowledge.refused.map(({ step }) => step);

/** An attempt that has saved and verified these steps; the next one resumes from the last and has read none of the others. */
async function followed(steps: readonly number[], { mirrored = false } = {}) {
  const { tiers, pod, saved } = await savedPod(steps);
  if (mirrored) await pod.mirrorUntil(() => pod.mirror.settled);
  const spoil = (...which: readonly number[]) => {
    for (const one of saved.filter((_, index) => which.includes(steps[index] ?? 0))) pod.trainer.damage(one);
  };
  const next = (expected: Partial<Expected> = {}) => {
    const variable = JSON.stringify({ ...nothingRecorded, ...expected });
    return ServingPod.start(tiers, 2, { ...keepMany, TRAININGRUN_EXPECTED: variable }, expected);
  };
  return { tiers, saved, spoil, next };
}

/** A clock by which what failed may be tried again as soon as a test says so. */
function ownClock() {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
  const passMinutes = (minutes: number) => void vi.advanceTimersByTime(minutes * 60_000);
  return { passMinutes, passMinute: () => passMinutes(1) };
}

/** A volume that says that it has so much room left, until that ends. */
function freeBytes(bytes: number) {
  const room = { type: 0, bsize: 1, blocks: 1e12, bfree: bytes, bavail: bytes, files: 1e6, ffree: 1e6, frsize: 1 };
  const told = vi.spyOn(fs, "statfs").mockResolvedValue(room);
  syncBuiltinESMExports();
  const end = () => {
    told.mockRestore();
    syncBuiltinESMExports();
  };
  onTestFinished(end);
  return { end };
}

describe("A copy on the volume that had been whole", () => {
  test("is mended from the object store, and not refused", async () => {
    const { spoil, next } = await followed([10, 20, 30], { mirrored: true });
    spoil(10, 20);
    const pod = await next();
    await pod.look();
    expect([verifiedSteps(pod), refusedSteps(pod), problemsOf(pod)]).toEqual([[30, 20, 10], [], []]);
  });

  test("is brought back from the object store where it is gone", async () => {
    const { tiers, saved, next } = await followed([10, 20], { mirrored: true });
    const pod = await next();
    rmSync(join(tiers.root, "checkpoints/data", saved[0]?.directory ?? "none"), { recursive: true });
    await pod.look();
    expect([verifiedSteps(pod), refusedSteps(pod)]).toEqual([[20, 10], []]);
  });

  test("is not refused while the object store cannot be asked, which holds up nobody", async () => {
    const { passMinute } = ownClock();
    const { tiers, pod, saved } = await savedPod([10, 20]);
    await pod.mirrorUntil(() => pod.mirror.settled);
    const [, newest] = saved;
    if (newest) pod.trainer.damage(newest);
    pod.keeper.doubt(newest?.manifest.digest ?? "");
    tiers.away = "it is away";
    await pod.look();
    expect([verifiedSteps(pod), refusedSteps(pod), problemsOf(pod)]).toEqual([[10], [], ["StorageUnavailable"]]);
    expect(pod.keeper.settled).toBe(true);
    // The next life of the agent knows that it had been whole.
    await pod.restartAgent();
    await pod.look();
    expect([verifiedSteps(pod), refusedSteps(pod)]).toEqual([[10], []]);
    tiers.away = null;
    passMinute();
    await pod.look();
    expect([verifiedSteps(pod), refusedSteps(pod), problemsOf(pod)]).toEqual([[20, 10], [], []]);
  });

  test("and is in no tier any more is not refused for that: it may come into sight again", async () => {
    const { passMinute } = ownClock();
    const { tiers, saved, next } = await followed([10, 20]);
    const pod = await next();
    const path = join(tiers.root, "checkpoints/data", saved[0]?.directory ?? "");
    renameSync(path, `${tiers.root}/elsewhere`);
    await pod.look();
    expect([verifiedSteps(pod), refusedSteps(pod), problemsOf(pod)]).toEqual([[20], [], ["CheckpointMissing"]]);
    expect(pod.keeper.settled).toBe(true);
    renameSync(`${tiers.root}/elsewhere`, path);
    passMinute();
    await pod.look();
    expect([verifiedSteps(pod), problemsOf(pod)]).toEqual([[20, 10], []]);
  });

  test.each([10, 20])("is refused where no copy helps, for minutes, and it is the only one: step %d", async (step) => {
    const { passMinutes } = ownClock();
    const { spoil, next } = await followed([10, 20, 30]);
    spoil(step);
    const pod = await next();
    await pod.look();
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[], ["CheckpointUnmatched"]]);
    expect(pod.keeper.settled).toBe(true);
    passMinutes(4);
    await pod.look();
    expect(refusedSteps(pod)).toEqual([]);
    passMinutes(1);
    await pod.look();
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[step], []]);
    expect(verifiedSteps(pod)).toEqual([30, 30 - step]);
  });

  test("is whole again where its device had failed for less than that", async () => {
    const { passMinutes } = ownClock();
    const { tiers, saved, spoil, next } = await followed([10, 20]);
    const path = join(tiers.root, "checkpoints/data", saved[0]?.directory ?? "none", "state.json");
    const whole = readFileSync(path);
    spoil(10);
    const pod = await next();
    await pod.look();
    expect(problemsOf(pod)).toEqual(["CheckpointUnmatched"]);
    writeFileSync(path, whole);
    passMinutes(5);
    await pod.look();
    expect([verifiedSteps(pod), refusedSteps(pod), problemsOf(pod)]).toEqual([[20, 10], [], []]);
  });

  test("has to fail for minutes in one life of the agent: the next begins anew", async () => {
    const { passMinutes } = ownClock();
    const { spoil, next } = await followed([10, 20]);
    spoil(10);
    const pod = await next();
    await pod.look();
    passMinutes(5);
    await pod.restartAgent();
    await pod.look();
    expect(refusedSteps(pod)).toEqual([]);
    passMinutes(5);
    await pod.look();
    expect(refusedSteps(pod)).toEqual([10]);
  });

  test("is not refused after another was on this node's word, nor by the next life of the agent", async () => {
    const { passMinutes } = ownClock();
    const { spoil, next } = await followed([10, 20, 30]);
    spoil(20);
    const pod = await next();
    await pod.look();
    passMinutes(5);
    await pod.look();
    expect(refusedSteps(pod)).toEqual([20]);
    await pod.trainer.saveDamaged(40);
    await pod.look();
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[20], ["NodeSuspect"]]);
    await pod.restartAgent();
    for (const _ of ["first", "second"]) {
      await pod.look();
      passMinutes(5);
    }
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[20], ["NodeSuspect"]]);
  });

  test("is left as it is while the volume has no room for the copy and the next save, and is told of", async () => {
    const { passMinutes } = ownClock();
    const { saved, spoil, next } = await followed([10, 20], { mirrored: true });
    spoil(10);
    const pod = await next();
    const bytes = saved[0]?.manifest.totals.bytes ?? 0;
    const nearlyFull = freeBytes(2 * bytes);
    await pod.look();
    expect([verifiedSteps(pod), refusedSteps(pod), problemsOf(pod)]).toEqual([[20], [], ["RepairPutOff"]]);
    nearlyFull.end();
    passMinutes(5);
    await pod.look();
    expect([verifiedSteps(pod), problemsOf(pod)]).toEqual([[20, 10], []]);
  });

  test("is not read once more when the pod is to end", async () => {
    const { passMinutes } = ownClock();
    const { spoil, next } = await followed([10, 20]);
    spoil(10);
    const pod = await next();
    await pod.look();
    passMinutes(5);
    await pod.look(AbortSignal.abort());
    expect([refusedSteps(pod), pod.keeper.settled]).toEqual([[], true]);
    await pod.look();
    expect(refusedSteps(pod)).toEqual([10]);
  });

  test("is not mended once the pod is to end", async () => {
    const { spoil, next } = await followed([10, 20], { mirrored: true });
    spoil(10);
    const pod = await next();
    await pod.look(AbortSignal.abort());
    expect([verifiedSteps(pod), pod.keeper.settled]).toEqual([[20], true]);
    await pod.look();
    expect(verifiedSteps(pod)).toEqual([20, 10]);
  });

  test("is not refused together with another: the node is suspected, and all that fails there stays", async () => {
    const { spoil, next } = await followed([10, 20, 30, 40]);
    spoil(10, 30);
    const pod = await next();
    await pod.look();
    expect([verifiedSteps(pod), refusedSteps(pod)]).toEqual([[40, 20], []]);
    expect(pod.knowledge.problems).toEqual([
      {
        reason: "NodeSuspect",
        message: expect.stringMatching(/do not verify on node node-a: step 30 BytesDiffer, step 10 BytesDiffer\./),
      },
    ]);
    expect(toldSteps(pod)).toEqual([30, 10]);
    await pod.trainer.saveDamaged(50);
    await pod.save(60);
    expect([verifiedSteps(pod), refusedSteps(pod), toldSteps(pod)]).toEqual([[60, 40, 20], [], [30, 10]]);
    expect(pod.keeper.settled).toBe(true);
  });

  test("is not refused together with two others because one of them is known to be bad", async () => {
    const { passMinutes } = ownClock();
    const { saved, spoil, next } = await followed([10, 20, 30, 40]);
    spoil(10, 20, 30);
    const pod = await next({ refused: saved.slice(2, 3).map(({ manifest }) => manifest.digest) });
    for (const _ of ["first", "second"]) {
      await pod.look();
      passMinutes(5);
    }
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[], ["NodeSuspect"]]);
  });

  test("is not refused before it is known whether there is another", async () => {
    const { passMinute } = ownClock();
    const { tiers, spoil, next } = await followed([10, 20, 30, 40]);
    spoil(10, 30);
    const { open } = tiers;
    let asked = 0;
    tiers.open = async (signal) => {
      asked += 1;
      if (asked === 2) throw new StorageUnavailableError("it is away");
      return open(signal);
    };
    const pod = await next();
    await pod.look();
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[], ["CheckpointUnmatched", "StorageUnavailable"]]);
    passMinute();
    await pod.look();
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[], ["NodeSuspect"]]);
  });

  test("is refused at once with all others that the operator has confirmed, and alone beside them after minutes", async () => {
    const { passMinutes } = ownClock();
    const { spoil, saved, next } = await followed([10, 20, 30, 40]);
    spoil(10, 20, 30);
    const pod = await next({ refused: saved.slice(1, 3).map(({ manifest }) => manifest.digest) });
    await pod.look();
    expect(refusedSteps(pod)).toEqual([30, 20]);
    passMinutes(5);
    await pod.look();
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[30, 20, 10], []]);
  });
});

describe("What this attempt saves and nobody ever matched", () => {
  test("is refused after minutes, alone, and tells of the node where it is more", async () => {
    const { passMinutes } = ownClock();
    const { pod } = await savedPod([10]);
    await pod.trainer.saveDamaged(20);
    await pod.look();
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[], ["CheckpointUnmatched"]]);
    passMinutes(5);
    await pod.look();
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[20], []]);
    await pod.trainer.saveDamaged(30);
    await pod.look();
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[20], ["NodeSuspect"]]);
  });

  test.each([
    ["it", ""],
    ["a file of it", "state.json"],
  ])("is waited for where the volume does not show %s yet", async (_, name) => {
    const { passMinute } = ownClock();
    const { tiers, pod } = await savedPod([10]);
    const { directory } = await pod.trainer.save(20);
    const path = join(tiers.root, "checkpoints/data", directory, name);
    renameSync(path, `${tiers.root}/elsewhere`);
    await pod.look();
    expect([verifiedSteps(pod), problemsOf(pod), pod.keeper.settled]).toEqual([[10], [], false]);
    renameSync(`${tiers.root}/elsewhere`, path);
    passMinute();
    await pod.look();
    expect([verifiedSteps(pod), problemsOf(pod), pod.keeper.settled]).toEqual([[20, 10], [], true]);
  });

  test("is told of where it stays away, and never refused for it", async () => {
    const { passMinute, passMinutes } = ownClock();
    const { tiers, pod } = await savedPod([10]);
    const { directory } = await pod.trainer.save(20);
    rmSync(join(tiers.root, "checkpoints/data", directory), { recursive: true });
    await pod.look();
    for (const _ of ["first", "second"]) {
      passMinute();
      await pod.look();
    }
    expect([verifiedSteps(pod), problemsOf(pod), pod.keeper.settled]).toEqual([[10], ["CheckpointMissing"], true]);
    passMinutes(60);
    await pod.look();
    expect([refusedSteps(pod), problemsOf(pod)]).toEqual([[], ["CheckpointMissing"]]);
  });
});

describe("After a restart of the agent's container", () => {
  const bytesRead = async (spoiled: string | null) => {
    const { tiers, pod, saved } = await savedPod([10, 20]);
    if (spoiled !== null) writeFileSync(join(tiers.root, "control/verified.json"), spoiled);
    await pod.restartAgent();
    for (const one of saved) pod.trainer.damage(one);
    await pod.look();
    return verifiedSteps(pod).length === 0;
  };

  test("what was verified is not read again", async () => {
    expect(await bytesRead(null)).toBe(false);
  });

  const digest = `blake3:${"0".repeat(64)}`;
  test.each([
    ["empty", ""],
    ["torn", '{"version":1,"podUid":"pod-1","verified":["blake3:'],
    ["of another version", JSON.stringify({ version: 2, podUid: "pod-1", verified: [digest], doubted: [] })],
    ["of something else", JSON.stringify({ version: 1, podUid: "pod-1", verified: ["all"], doubted: [] })],
    ["another pod's", JSON.stringify({ version: 1, podUid: "pod-0", verified: [digest], doubted: [] })],
  ])("all is read again where the record of it is %s", async (_, text) => {
    expect(await bytesRead(text)).toBe(true);
  });
});
