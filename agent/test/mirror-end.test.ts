import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { latestVerified } from "../src/serve/knowledge.ts";
import { keepMany, savedPod } from "./mirror-scene.ts";

beforeEach(() => {
  for (const said of ["log", "warn", "error"] as const) vi.spyOn(console, said).mockReturnValue(undefined);
});

describe("When the pod ends", () => {
  const ephemeral = { ...keepMany, TRAININGRUN_VOLUME: "Ephemeral" };

  test("`done` follows the final checkpoint into the object store, before all that is older", async () => {
    const { tiers, pod } = await savedPod([10, 20]);
    const final = await pod.finish(30);
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(await tiers.commits()).toEqual(["commit 30", "done", "commit 20", "commit 10"]);
    expect((await readLog(tiers.remote)).state.done).toEqual({ attempt: 1, manifest: final });
  });

  /** A pod whose store takes ten seconds for a checkpoint, and that saves its last one while another is on its way. */
  async function endingWhile(held: "atUpload" | "atPublish", leftMs: number) {
    const { tiers, pod } = await savedPod([10]);
    const takeTenSeconds = async () => {
      pod.nowMs += 10_000;
    };
    tiers.atPublish.set(10, takeTenSeconds);
    await pod.mirrorUntil(() => pod.mirror.settled);
    await pod.save(20);
    if (held === "atUpload") tiers.atPublish.set(20, takeTenSeconds);
    let brokenOff = true;
    tiers[held].set(20, async (signal) => {
      if (held === "atPublish") await takeTenSeconds();
      await pod.save(30);
      pod.mirror.hurry({ leftMs });
      signal.throwIfAborted();
      brokenOff = false;
    });
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(pod.mirror.state.problem).toBeNull();
    return { brokenOff, commits: await tiers.commits() };
  }

  const newestFirst = { brokenOff: true, commits: ["commit 10", "commit 30", "commit 20"] };
  test.each([
    ["gives way to the last one, which gets there in time", "atUpload", 15_000, newestFirst],
    ["gives way although it is nearly there, where the last one gets there as well", "atPublish", 15_000, newestFirst],
    ["gives way where neither would get there: the last one is worth more", "atUpload", 5_000, newestFirst],
    [
      "and nearly there is not thrown away for a last one that would not get there",
      ...(["atPublish", 5_000] as const),
      { brokenOff: false, commits: ["commit 10", "commit 20", "commit 30"] },
    ],
  ] as const)("an older checkpoint that is on its way %s", async (_what, held, leftMs, outcome) => {
    expect(await endingWhile(held, leftMs)).toEqual(outcome);
  });

  test("an older checkpoint that was let through stays so, however slow the store is then", async () => {
    const { tiers, pod } = await savedPod([10]);
    tiers.atPublish.set(10, async () => {
      pod.nowMs += 10_000;
    });
    await pod.mirrorUntil(() => pod.mirror.settled);
    await pod.save(20);
    tiers.atUpload.set(20, async (signal) => {
      await pod.trainer.save(30, [], 100_000);
      await pod.look();
      pod.mirror.hurry({ leftMs: 15_000 });
      pod.nowMs += 14_000;
      pod.mirror.hurry({ leftMs: 1_000 });
      signal.throwIfAborted();
    });
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(await tiers.commits()).toEqual(["commit 10", "commit 20", "commit 30"]);
  });

  test("with a durable volume, it does not wait for a store that is away", async () => {
    const { tiers, pod } = await savedPod([10]);
    tiers.away = "the store is away";
    expect(pod.mirror.settled).toBe(false);
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(pod.mirror.state).toMatchObject({ lagSteps: 10 });
  });

  test("of a finished run, it does: no attempt follows that would bring the final checkpoint there", async () => {
    const { tiers, pod } = await savedPod([10]);
    tiers.away = "the store is away";
    const final = await pod.finish(20);
    await pod.mirrorUntil(() => pod.mirror.state.problem !== null);
    expect(pod.mirror.settled).toBe(false);
    tiers.away = null;
    pod.mirror.hurry({ leftMs: 30_000 });
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(await tiers.commits()).toEqual(["commit 20", "done", "commit 10"]);
    expect((await readLog(tiers.remote)).state.done).toEqual({ attempt: 1, manifest: final });
  });

  test.each([
    ["Durable", true],
    ["Ephemeral", false],
  ])(
    "a finished run whose volume is %s is settled although an older checkpoint fails each time: %s",
    async (volume, settled) => {
      const { tiers, pod } = await savedPod([10], { ...keepMany, TRAININGRUN_VOLUME: volume });
      const fail = async () => {
        tiers.atUpload.set(10, fail);
        // Longer than the pause before the next try.
        pod.nowMs += 1_500;
        throw new Error("Cannot take step 10");
      };
      await fail().catch(() => undefined);
      await pod.finish(20);
      await pod.mirrorUntil(() => pod.mirror.done && pod.mirror.state.problem !== null);
      pod.mirror.hurry({ leftMs: 30_000 });
      expect([await tiers.commits(), pod.mirror.settled]).toEqual([["commit 20", "done"], settled]);
    },
  );

  test("with an ephemeral one, it does, and nothing counts as verified or done until the store has it (I9, I10)", async () => {
    const { tiers, pod } = await savedPod([10], ephemeral);
    tiers.away = "the store is away";
    const final = await pod.finish(20);
    await pod.mirrorUntil(() => pod.mirror.state.problem !== null);
    expect(pod.mirror.settled).toBe(false);
    expect([latestVerified(pod.knowledge), pod.knowledge.done]).toEqual([null, null]);
    tiers.away = null;
    pod.mirror.hurry({ leftMs: 30_000 });
    await pod.mirrorUntil(() => pod.mirror.settled);
    expect(latestVerified(pod.knowledge)).toMatchObject({ digest: final, tiers: ["Volume", "ObjectStore"] });
    expect(pod.knowledge.done).toBe(final);
  });
});
