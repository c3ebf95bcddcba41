import { rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { flipBit } from "../test/damage.ts";
import { nothingExpected, pathIn, restore, resumedAt, save, savedRun, temporaryStore } from "../test/fixture.ts";
import type { Expected } from "./contract/pod-environment.ts";
import { directoryName } from "./directory-name.ts";
import { renewOpen } from "./log/compact.ts";
import { carry } from "./log/fold.ts";
import { readLog } from "./log/read.ts";
import { recordBytes } from "./log/record.ts";
import { DirectoryStore } from "./store/directory-store.ts";
import { recordName } from "./store/log-names.ts";
import { mirrorCheckpoint } from "./tiers/mirror.ts";

const expecting = (expected: Partial<Expected>) => ({ expected: { ...nothingExpected, ...expected } });
const model = (store: DirectoryStore, step: number, attempt = 1) =>
  pathIn(store, directoryName(step, attempt), "model.safetensors");
const unhealthy = { nonFinite: ["w"], nonFiniteTensors: 1, unexpected: ["w"], unexpectedTensors: 1 };

describe("a checkpoint with new NaN or infinity", () => {
  test.each([
    { policy: "Skip", step: 10 },
    { policy: "Accept", step: 20 },
  ] as const)("is the newest: under $policy step $step is resumed from", async ({ policy, step }) => {
    const { store } = await savedRun([10]);
    await save(store, 1, 20, { health: unhealthy });
    expect(resumedAt(await restore(store, 2, expecting({ unhealthy: policy })))).toBe(step);
  });

  test("is left again by Skip where Accept alone had taken it", async () => {
    const { store } = await savedRun([10]);
    await save(store, 1, 20, { health: unhealthy });
    expect(resumedAt(await restore(store, 2, expecting({ unhealthy: "Accept" })))).toBe(20);
    const outcome = await restore(store, 3);
    expect([resumedAt(outcome), outcome.warnings]).toEqual([10, ["Skipped step 20: it has new non-finite tensors"]]);
  });

  test("is kept to where the user has named it, wherever the history comes back to it", async () => {
    const { store } = await savedRun([10]);
    await save(store, 1, 20, { health: unhealthy });
    expect(resumedAt(await restore(store, 2, expecting({ base: { step: 20 } })))).toBe(20);
    const outcome = await restore(store, 3);
    expect([resumedAt(outcome), outcome.warnings]).toEqual([20, []]);
    await save(store, 3, 25, { health: unhealthy });
    expect(resumedAt(await restore(store, 4))).toBe(20);
    expect(await renewOpen(store, { attempt: 4, podUid: "pod-4", after: 0 })).toBe(true);
    await save(store, 4, 30);
    expect(resumedAt(await restore(store, 5))).toBe(30);
    await flipBit(model(store, 30, 4), 4000);
    expect(resumedAt(await restore(store, 6))).toBe(20);
    expect((await readLog(store)).state.checkpoints.filter(({ chosen }) => chosen).map(({ step }) => step)).toEqual([
      20,
    ]);
  });

  test("is known as the user's choice in both tiers, though a pod died between their opens", async () => {
    const [store, objectStore] = [await temporaryStore(), await temporaryStore()];
    await restore(store, 1, { objectStore });
    await save(store, 1, 10);
    await save(store, 1, 20, { health: unhealthy });
    for (const ref of (await readLog(store)).state.checkpoints) {
      await mirrorCheckpoint({ from: store, to: objectStore, attempt: 1 }, ref);
    }
    // The bucket's open never came.
    await restore(store, 2, expecting({ base: { step: 20 } }));
    expect(resumedAt(await restore(store, 3, { objectStore }))).toBe(20);
    expect(resumedAt(await restore(await temporaryStore(), 4, { objectStore }))).toBe(20);
  });
});

describe("an open that an older release wrote, which marks no base", () => {
  const skipped = { health: unhealthy };
  /** Opens an attempt on that step as releases before the marks did: they drop them from what they carry, too. */
  async function openUnmarked(store: DirectoryStore, attempt: number, step: number) {
    const { state } = await readLog(store);
    const checkpoints = state.checkpoints.map(({ chosen: _chosen, accepted: _accepted, ...ref }) => ref);
    const base = checkpoints.find((ref) => ref.step === step)?.digest ?? null;
    const who = { attempt, podUid: `pod-${attempt}`, node: "n", generation: 1, base } as const;
    const common = { version: 1, kind: "open", writer: `old-${attempt}`, time: "2026-01-01T00:00:00.000Z" } as const;
    await store.createRecord(
      state.last + 1,
      recordBytes({ ...common, ...who, state: carry({ ...state, checkpoints }) }),
    );
  }

  test("is kept to while its attempt has saved nothing, and from then on like one that was named", async () => {
    const { store } = await savedRun([10]);
    await save(store, 1, 20, skipped);
    await openUnmarked(store, 2, 20);
    const outcome = await restore(store, 3);
    expect([resumedAt(outcome), outcome.warnings]).toEqual([20, []]);
    await save(store, 3, 25, skipped);
    expect(resumedAt(await restore(store, 4))).toBe(20);
  });

  test("is kept to between two newer ones, of which the first had marked it", async () => {
    const { store } = await savedRun([10]);
    await save(store, 1, 20, skipped);
    expect(resumedAt(await restore(store, 2, expecting({ base: { step: 20 } })))).toBe(20);
    await openUnmarked(store, 3, 20);
    expect(resumedAt(await restore(store, 4))).toBe(20);
  });

  test("is left once its attempt has saved something that is of no use", async () => {
    const { store } = await savedRun([10]);
    await save(store, 1, 20, skipped);
    await openUnmarked(store, 2, 20);
    await save(store, 2, 25, skipped);
    expect(resumedAt(await restore(store, 3))).toBe(10);
  });

  test("is told from one that Accept alone had taken, also where that was renewed", async () => {
    const { store } = await savedRun([10]);
    await save(store, 1, 20, skipped);
    expect(resumedAt(await restore(store, 2, expecting({ unhealthy: "Accept" })))).toBe(20);
    expect(await renewOpen(store, { attempt: 2, podUid: "pod-2", after: 0 })).toBe(true);
    expect(resumedAt(await restore(store, 3))).toBe(10);
    expect(resumedAt(await restore(store, 4, expecting({ base: { step: 20 } })))).toBe(20);
    expect(resumedAt(await restore(store, 5))).toBe(20);
  });
});

describe("a node on which two checkpoints do not verify", () => {
  test("is suspected, and neither is refused", async () => {
    const { store } = await savedRun([10, 20, 30]);
    for (const step of [20, 30]) await flipBit(model(store, step), 4000);
    expect(await restore(store, 2)).toMatchObject({
      kind: "failed",
      failure: "NodeSuspect",
      message:
        "Cannot restore attempt 2 because two checkpoints failed on node node-a: step 30 BytesDiffer, step 20 BytesDiffer",
      refused: [{ step: 30 }, { step: 20 }],
    });
    expect((await readLog(store)).state).toMatchObject({ refused: [], opened: { attempt: 1 } });
  });

  test("is suspected where one of them has no record yet", async () => {
    const { store } = await savedRun([10, 20, 30]);
    await rm(join(store.root, "log", recordName(4)));
    for (const step of [20, 30]) await flipBit(model(store, step), 4000);
    const seen = new DirectoryStore(store.root, store.runUid);
    expect(await restore(seen, 2)).toMatchObject({
      failure: "NodeSuspect",
      message:
        "Cannot restore attempt 2 because two checkpoints failed on node node-a: step 20 BytesDiffer, step-000000000030-a0001 BytesDiffer",
      refused: [{ step: 20 }],
    });
    expect((await readLog(seen)).state).toMatchObject({ refused: [], opened: { attempt: 1 } });
    expect(await store.names()).toContain(directoryName(30, 1));
  });
});

describe("a checkpoint that is not there", () => {
  test("is passed over, blamed on no node, and refused by nobody: where it comes back, it can be chosen", async () => {
    const { store } = await savedRun([10, 20, 30]);
    const away = (step: number) => join(store.root, `away-${step}`);
    for (const step of [20, 30]) await rename(pathIn(store, directoryName(step, 1)), away(step));
    const outcome = await restore(store, 2);
    expect(resumedAt(outcome)).toBe(10);
    expect(outcome.warnings).toEqual(
      [30, 20].map((step) => expect.stringContaining(`Passed over step ${step}, which is not refused for that: `)),
    );
    expect((await readLog(store)).state.refused).toEqual([]);
    await rename(away(30), pathIn(store, directoryName(30, 1)));
    expect(resumedAt(await restore(store, 3, expecting({ base: { step: 30 } })))).toBe(30);
  });

  test("is waited for where the volume's log names it, for the volume may not show it yet", async () => {
    const { store } = await savedRun([10, 20]);
    const late = inSightAfter(store, directoryName(20, 1), 4);
    expect(resumedAt(await restore(late, 2, { visibleWithinMs: 60_000 }))).toBe(20);
  });

  test("is not waited for where another tier alone names it", async () => {
    const [store, objectStore] = [await temporaryStore(), await temporaryStore()];
    await restore(store, 1, { objectStore });
    for (const step of [10, 20]) await save(store, 1, step);
    for (const ref of (await readLog(store)).state.checkpoints) {
      await mirrorCheckpoint({ from: store, to: objectStore, attempt: 1 }, ref);
    }
    await rm(pathIn(objectStore, directoryName(20, 1)), { recursive: true });
    const request = { objectStore, visibleWithinMs: 600_000 };
    expect(resumedAt(await restore(await temporaryStore(), 2, request))).toBe(10);
  });
});

describe("a checkpoint that is whole in the object store", () => {
  test.each(["is damaged on the volume", "is not there"])(
    "and %s, is refused nowhere where its copy does not stay whole: the node is suspect",
    async (state) => {
      const [store, objectStore] = [await temporaryStore(), await temporaryStore()];
      await restore(store, 1, { objectStore });
      for (const step of [10, 20]) await save(store, 1, step);
      for (const ref of (await readLog(store)).state.checkpoints) {
        await mirrorCheckpoint({ from: store, to: objectStore, attempt: 1 }, ref);
      }
      if (state === "is not there") await rm(pathIn(store, directoryName(20, 1)), { recursive: true });
      else await flipBit(model(store, 20), 4000);
      const spoiling = new SpoilingStore(store.root, store.runUid);
      const outcome = await restore(spoiling, 2, { objectStore });
      expect(outcome).toMatchObject({ kind: "failed", failure: "NodeSuspect" });
      for (const tier of [store, objectStore]) expect((await readLog(tier)).state.refused).toEqual([]);
      expect(resumedAt(await restore(store, 3, { objectStore }))).toBe(20);
    },
  );
});

/** A volume on which every copy that is made has another byte than was written. */
class SpoilingStore extends DirectoryStore {
  override async begin(place: { step: number; attempt: number }) {
    const writer = await super.begin(place);
    const publish = writer.publish.bind(writer);
    writer.publish = (manifest, { confirm, ...options } = { replace: false }) =>
      publish(manifest, {
        ...options,
        confirm: async (copy) => {
          await flipBit(join(copy.location, "model.safetensors"), 4000);
          await confirm?.(copy);
        },
      });
    return writer;
  }
}

/** The same store, in whose listings that directory is found only after so many looks. */
function inSightAfter(store: DirectoryStore, directory: string, looks: number): DirectoryStore {
  const seen = new DirectoryStore(store.root, store.runUid);
  let left = looks;
  const checkpoint = seen.checkpoint.bind(seen);
  seen.checkpoint = (name) => {
    const stored = checkpoint(name);
    if (name !== directory) return stored;
    return {
      location: stored.location,
      open: (path, from) => stored.open(path, from),
      entries: async (limit) => {
        left -= 1;
        return left >= 0 ? null : stored.entries(limit);
      },
    };
  };
  return seen;
}
