import { readdirSync, readFileSync, rmSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { MirrorRate } from "@trainingrun/checkpoint/contract/mirror-rate.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { restoreRun } from "@trainingrun/checkpoint/restore.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { readMirrored } from "@trainingrun/checkpoint/tiers/mirror.ts";
import { verifyCheckpoint } from "@trainingrun/checkpoint/verify.ts";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { keepMany, ServingPod, savedPod, Tiers } from "./mirror-scene.ts";
import { keepTwo, nothingRecorded } from "./sample.ts";

beforeEach(() => {
  for (const said of ["log", "warn", "error"] as const) vi.spyOn(console, said).mockReturnValue(undefined);
});

describe("While the trainer trains", () => {
  test("what is verified goes into the object store, the newest first, and stands in its log", async () => {
    const { tiers, pod, saved } = await savedPod([10, 20, 30]);
    expect(pod.mirror.state).toMatchObject({ latestStep: null, lagSteps: 30, problem: null });
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(await tiers.commits()).toEqual(["commit 30", "commit 10", "commit 20"]);
    for (const { manifest, directory } of saved) {
      expect(await verifyCheckpoint(tiers.remote, { digest: manifest.digest, directory })).toMatchObject({ ok: true });
    }
    expect(pod.mirror.state).toEqual({
      ...{ latestStep: 30, lagSteps: 0, lagBytes: 0, lagSeconds: 0 },
      ...{ uploading: null, bytesPerSecond: expect.any(Number), problem: null },
    });
    expect(pod.knowledge.shelf.map(({ summary }) => summary.tiers)).toEqual(Array(3).fill(["Volume", "ObjectStore"]));
  });

  test("one that waits has every second turn, so that newer ones never starve it", async () => {
    const { tiers, pod } = await savedPod([10, 20, 30]);
    // While each is uploaded, the next is saved.
    let step = 30;
    for (const at of [30, 10, 50, 20]) {
      tiers.atUpload.set(at, async () => {
        step += 10;
        await pod.save(step);
      });
    }
    await pod.mirrorUntil(() => pod.mirror.mirrored?.size === 5);
    expect(await tiers.commits()).toEqual(["commit 30", "commit 10", "commit 50", "commit 20", "commit 70"]);
  });

  test("the lag grows with time until the newest is there", async () => {
    const { pod } = await savedPod([10]);
    pod.mirror.wake();
    expect(pod.mirror.state.lagSeconds).toBe(0);
    pod.nowMs += 7_000;
    expect(pod.mirror.state).toMatchObject({ lagSeconds: 7 });
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(pod.mirror.state).toMatchObject({ lagSeconds: 0 });
  });

  test("the lag counts from the first save that is lacking, also when retention would not upload that any more", async () => {
    const { pod } = await savedPod([10], {});
    pod.mirror.wake();
    pod.nowMs += 7_000;
    await pod.save(20, 30, 40);
    expect(pod.mirror.state).toMatchObject({ lagSeconds: 7 });
  });

  test("the trainer is told how fast the last upload was", async () => {
    const { tiers, pod } = await savedPod([10]);
    tiers.atPublish.set(10, async () => {
      pod.nowMs += 10_000;
    });
    await pod.mirrorUntil(() => pod.mirror.settled);
    const text = readFileSync(join(pod.environment.TRAININGRUN_CONTROL, "mirror-rate"), "utf8");
    expect(MirrorRate.parse(JSON.parse(text))).toEqual({ version: 1, bytesPerSecond: pod.uploadedBytes / 10 });
  });

  test("a store that is away is a problem with its words, holds up no verification, and is filled when it is back", async () => {
    const { tiers, pod } = await savedPod([10]);
    tiers.away = "the store is away";
    await pod.mirrorUntil(() => pod.mirror.state.problem !== null);
    expect(pod.mirror.state).toMatchObject({
      lagSteps: 10,
      problem: { reason: "StorageUnavailable", message: "the store is away" },
    });
    await pod.save(20);
    expect(pod.knowledge.shelf.map(({ verified }) => verified)).toEqual([true, true]);
    tiers.away = null;
    pod.nowMs += 60_000;
    await pod.mirrorUntil(() => pod.mirror.mirrored?.size === 2);
    expect(pod.mirror.state).toMatchObject({ latestStep: 20, lagSteps: 0, problem: null });
  });

  test("one upload that fails holds up no other, and is tried again", async () => {
    const { tiers, pod } = await savedPod([10, 20]);
    tiers.atUpload.set(20, () => Promise.reject(new Error("this one not")));
    await pod.mirrorUntil(() => pod.mirror.mirrored?.size === 1);
    expect(await tiers.commits()).toEqual(["commit 10"]);
    expect(pod.mirror.state).toMatchObject({ latestStep: 10, lagSteps: 10, problem: { message: "this one not" } });
    pod.nowMs += 1_000;
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(await tiers.commits()).toEqual(["commit 10", "commit 20"]);
  });

  test("a store that creates keys twice is filled like any other, and said to fence nobody", async () => {
    const { tiers, pod } = await savedPod([10]);
    tiers.fences = false;
    expect(pod.mirror.fences).toBeUndefined();
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(pod.mirror.fences).toBe(false);
    expect(pod.mirror.state).toMatchObject({ latestStep: 10, problem: { reason: "ConditionsUnsupported" } });
  });

  test("a copy that was damaged since is not uploaded, and the keeper tells of it", async () => {
    const { tiers, pod, saved } = await savedPod([10, 20]);
    const [, newest] = saved;
    if (newest) pod.trainer.damage(newest);
    await pod.mirrorUntil(() => pod.mirror.mirrored?.size === 1);
    expect(await tiers.commits()).toEqual(["commit 10"]);
    await pod.look();
    expect(pod.knowledge).toMatchObject({ refused: [], problems: [{ reason: "CheckpointUnmatched" }] });
    expect(pod.mirror.state).toMatchObject({ latestStep: 10, lagSteps: 0 });
  });

  test("the base that the object store lacks is brought there, and needs no record of its own", async () => {
    const { tiers } = await savedPod([10, 20]);
    const next = await ServingPod.start(tiers, 2, keepMany);
    await next.look();
    await next.mirrorUntil(() => next.mirror.settled);
    expect(await tiers.commits()).toEqual([]);
    expect(next.mirror.state).toMatchObject({ latestStep: 20, lagSteps: 0 });
    expect(await readMirrored(tiers.remote)).toEqual(new Set([next.knowledge.restored?.resume?.digest]));
  });
});

describe("After a restart of the agent", () => {
  test("what stands whole is not uploaded again, and what was cut off is", async () => {
    const { tiers, pod } = await savedPod([10, 20, 30]);
    await pod.mirrorUntil(() => pod.mirror.mirrored?.size === 1);
    tiers.atUpload.set(10, () => Promise.reject(new Error("killed")));
    await pod.mirrorUntil(() => pod.mirror.state.problem !== null);
    const [before, third] = [pod.uploadedBytes, pod.knowledge.shelf[0]?.summary.bytes ?? 0];
    expect(before).toBe(third);
    pod.restart();
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(pod.uploadedBytes).toBe(3 * third);
    expect((await tiers.commits()).toSorted()).toEqual(["commit 10", "commit 20", "commit 30"]);
  });

  test.each<[string, (checkpoint: string) => void]>([
    ["whose manifest is gone", (checkpoint) => rmSync(join(checkpoint, "MANIFEST.json"))],
    ["of which the bucket has lost a file", (checkpoint) => rmSync(join(checkpoint, "state.json"))],
    ["of which a file has another size", (checkpoint) => truncateSync(join(checkpoint, "state.json"), 5)],
  ])("one %s does not count as mirrored, and is uploaded again", async (_which, damage) => {
    const { tiers, pod, saved } = await savedPod([10, 20]);
    await pod.mirrorUntil(() => pod.mirror.settled);
    const [broken] = saved;
    const { digest = "" } = broken?.manifest ?? {};
    damage(join(tiers.remote.root, "data", broken?.directory ?? ""));
    expect((await readMirrored(tiers.remote)).has(digest)).toBe(false);
    pod.restart();
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(await verifyCheckpoint(tiers.remote, { digest, directory: broken?.directory ?? "" })).toMatchObject({
      ok: true,
    });
  });

  test("or a broken off upload, what was sent in part is removed before the next upload", async () => {
    const { tiers, pod } = await savedPod([10]);
    const sweeps: string[] = [];
    tiers.remote.removeTemporaries = async () => {
      sweeps.push((await tiers.commits()).at(-1) ?? "nothing");
    };
    tiers.atUpload.set(10, async (signal) => {
      await pod.save(20);
      pod.mirror.hurry({ leftMs: 30_000 });
      signal.throwIfAborted();
    });
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect([sweeps, await tiers.commits()]).toEqual([
      ["nothing", "nothing"],
      ["commit 20", "commit 10"],
    ]);
  });

  test("one that lacks only its record gets that, without a byte", async () => {
    const { tiers, pod } = await savedPod([10]);
    const create = tiers.remote.createRecord.bind(tiers.remote);
    tiers.remote.createRecord = () => Promise.reject(new Error("killed before the commit"));
    await pod.mirrorUntil(() => pod.mirror.state.problem !== null);
    tiers.remote.createRecord = create;
    const before = pod.uploadedBytes;
    pod.restart();
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(await tiers.commits()).toEqual(["commit 10"]);
    expect([before > 0, pod.uploadedBytes]).toEqual([true, before]);
  });
});

describe("Another pod", () => {
  test("that opens the object store's log alone fences the whole agent", async () => {
    const { tiers, pod } = await savedPod([10]);
    await pod.mirrorUntil(() => pod.mirror.settled);
    const elsewhere = new Tiers(tiers.remote);
    await ServingPod.start(elsewhere, 2, keepMany);
    await pod.save(20);
    const before = pod.uploadedBytes;
    await pod.mirrorUntil(() => false);
    expect([pod.knowledge.phase, pod.uploadedBytes]).toEqual(["Fenced", before]);
    expect(await tiers.commits()).toEqual([]);
    expect((await readLog(tiers.remote)).state.opened).toMatchObject({ attempt: 2, podUid: "pod-2" });
  });

  test("that opens it in the midst of an upload finds no record of it", async () => {
    const { tiers, pod } = await savedPod([10]);
    tiers.atUpload.set(10, async () => {
      await ServingPod.start(new Tiers(tiers.remote), 2, keepMany);
    });
    await pod.mirrorUntil(() => false);
    expect([pod.knowledge.phase, await tiers.commits()]).toEqual(["Fenced", []]);
  });
});

describe("A log that the object store has lost", () => {
  /** A pod that has mirrored step 10, whose bucket then loses the log, and that has saved step 20. */
  async function lostLog(over: Record<string, string> = keepMany) {
    const { tiers, pod } = await savedPod([10], over);
    await pod.mirrorUntil(() => pod.mirror.settled);
    for (const name of readdirSync(join(tiers.remote.root, "log"))) rmSync(join(tiers.remote.root, "log", name));
    await pod.save(20);
    await pod.mirrorUntil(() => pod.mirror.state.problem !== null);
    return { tiers, pod };
  }

  test("is said, and nothing in it counts as mirrored", async () => {
    const { pod } = await lostLog();
    expect(pod.mirror.state).toMatchObject({ latestStep: null, problem: { reason: "MirrorLogLost" } });
    expect(pod.knowledge.shelf.map(({ summary }) => summary.tiers)).toEqual([["Volume"], ["Volume"]]);
  });

  test("is opened once more by the pod that holds the run by the volume's log, and takes all again without its bytes", async () => {
    const { tiers, pod } = await lostLog();
    const [before, each] = [pod.uploadedBytes, pod.knowledge.shelf[0]?.summary.bytes];
    pod.nowMs += 1_000;
    await pod.mirrorUntil(() => pod.mirror.settled && pod.mirror.mirrored?.size === 2);
    expect((await tiers.commits()).toSorted()).toEqual(["commit 10", "commit 20"]);
    expect(pod.mirror.state).toMatchObject({ latestStep: 20, lagBytes: 0, problem: null });
    expect(pod.uploadedBytes - before).toBe(each);
    const next = await ServingPod.start(new Tiers(tiers.remote), 2, keepMany);
    expect(next.knowledge.restored?.resume).toMatchObject({ step: 20, attempt: 1, tier: "ObjectStore" });
  });

  test("is opened once more with what the user has named, where it still knows that from before", async () => {
    const { tiers, pod: first } = await savedPod([10, 20]);
    await first.mirrorUntil(() => first.mirror.settled);
    const pod = await ServingPod.start(tiers, 2, keepMany, { base: { step: 10 } });
    const { opened } = (await readLog(tiers.remote)).state;
    for (const name of readdirSync(join(tiers.remote.root, "log"))) {
      if (name.startsWith(`${opened?.number}`.padStart(12, "0"))) rmSync(join(tiers.remote.root, "log", name));
    }
    await pod.save(30);
    await pod.mirrorUntil(() => pod.mirror.state.problem !== null);
    pod.nowMs += 1_000;
    await pod.mirrorUntil(() => pod.mirror.settled && pod.mirror.state.problem === null);
    const { state } = await readLog(await openDirectoryStore(tiers.remote.root, { runUid: "run-uid" }));
    expect(state.opened).toMatchObject({ attempt: 2, podUid: "pod-2" });
    expect(state.checkpoints.filter(({ chosen }) => chosen).map(({ step }) => step)).toEqual([10]);
  });

  const restoreVolume = async (pod: ServingPod) => {
    const who = { runUid: "run-uid", attempt: 2, podUid: "pod-2", node: "node-b", generation: 1 };
    expect(await restoreRun(await pod.trainer.store(), { ...who, expected: nothingRecorded })).toMatchObject({
      kind: "restored",
    });
  };
  test.each<[string, string, (tiers: Tiers, pod: ServingPod) => unknown, Record<string, string>?]>([
    ["on an ephemeral volume", "no other log says", () => null, { ...keepMany, TRAININGRUN_VOLUME: "Ephemeral" }],
    ["without a fence", "does not keep two pods from opening it", (tiers) => Object.assign(tiers, { fences: false })],
    ["once the next has begun to", "attempt 2 has", ({ remote }) => remote.announceOpen({ number: 9, attempt: 2 })],
    ["once the next has opened the volume's", "the volume's log does not", (_tiers, pod) => restoreVolume(pod)],
  ])("is not opened once more %s", async (_when, because, given, over) => {
    const { tiers, pod } = await lostLog(over);
    await given(tiers, pod);
    pod.nowMs += 1_000;
    await pod.mirrorUntil(() => pod.mirror.state.problem?.message.includes(because) === true);
    expect(await tiers.remote.recordNumbers()).toEqual([]);
  });
});

describe("Retention", () => {
  const keepBudget = (maxBytes: number) => ({
    TRAININGRUN_RETENTION: JSON.stringify({ ...keepTwo, maxBytes }),
  });
  const stepsOn = (pod: ServingPod) => pod.knowledge.shelf.map(({ summary }) => summary.step);

  test("removes nothing from the volume before two newer ones are mirrored", async () => {
    const { pod } = await savedPod([10, 20, 30, 40], {});
    await pod.prune();
    expect(stepsOn(pod)).toEqual([40, 30, 20, 10]);
    await pod.mirrorUntil(() => pod.mirror.mirrored?.size === 2);
    await pod.prune();
    expect(stepsOn(pod)).toEqual([40, 30]);
  });

  test("does not wait for the mirror where the byte budget would stop the saving, and says so", async () => {
    const { manifest } = (await savedPod([10])).saved[0] ?? {};
    const budget = 3 * (manifest?.totals.bytes ?? 0);
    const { tiers, pod } = await savedPod([10, 20, 30, 40], keepBudget(budget));
    const problems = () => pod.knowledge.problems.map(({ reason }) => reason);
    // A store that was not read yet may have it all.
    await pod.prune();
    expect([stepsOn(pod), problems()]).toEqual([[40, 30, 20, 10], []]);
    tiers.away = "the store is away";
    await pod.mirrorUntil(() => pod.mirror.state.problem !== null);
    await pod.prune();
    expect(stepsOn(pod)).toEqual([40, 30]);
    expect(problems()).toContain("BudgetBeforeMirror");
    // It is said until the mirror has caught up, not only while something is being removed.
    await pod.save(50);
    await pod.prune();
    await pod.prune();
    expect([stepsOn(pod), problems()]).toEqual([[50, 40], expect.arrayContaining(["BudgetBeforeMirror"])]);
    tiers.away = null;
    pod.nowMs += 60_000;
    await pod.mirrorUntil(() => pod.mirror.mirrored?.size === 2);
    await pod.prune();
    expect(problems()).not.toContain("BudgetBeforeMirror");
  });

  test("works in the object store under its own log, and what it removed there is not uploaded again", async () => {
    const { tiers, pod } = await savedPod([10, 20], {});
    await pod.mirrorUntil(() => pod.mirror.settled);
    await pod.save(30, 40);
    await pod.mirrorUntil(() => pod.mirror.mirrored?.size === 2 && pod.mirror.settled);
    const { state } = await readLog(tiers.remote);
    expect(state.checkpoints.map(({ step }) => step).toSorted()).toEqual([30, 40]);
    expect((await tiers.remote.names()).filter((name) => !name.startsWith("."))).toHaveLength(2);
    pod.restart();
    const before = pod.uploadedBytes;
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(pod.uploadedBytes).toBe(before);
  });
});
