import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { flipBit } from "../test/damage.ts";
import { nothingExpected as expected, pathIn, restore, runUid, savedRun, temporaryStore } from "../test/fixture.ts";
import { type FollowRequest, followRun } from "./follow.ts";
import { DirectoryStore } from "./store/directory-store.ts";
import type { Store } from "./store/store.ts";

/** Worker 1 of an attempt. */
function follow(store: Store, attempt: number, request: Partial<FollowRequest> = {}) {
  const who = { runUid, attempt, podUid: `pod-${attempt}-1`, node: "node-b" };
  return followRun(store, { ...who, patienceMs: 30, everyMs: 5, ...request });
}

describe("a worker that follows worker 0", () => {
  test("starts at step 0 where worker 0 did", async () => {
    const { store } = await savedRun([]);
    expect(await follow(store, 1)).toMatchObject({
      kind: "restored",
      restored: { attempt: 1, podUid: "pod-1-1", resume: null, verifiedBytes: 0 },
    });
  });

  test("starts at the base of worker 0's open, from bytes that it has matched, and appends nothing", async () => {
    const { store, saved } = await savedRun([10, 20]);
    await restore(store, 2, { expected: { ...expected, base: { step: 10 } } });
    const before = await store.recordNumbers();
    const [first] = saved;
    expect(await follow(store, 2)).toMatchObject({
      kind: "restored",
      restored: {
        resume: {
          step: 10,
          attempt: 1,
          digest: first?.manifest.digest,
          directory: pathIn(store, first?.directory ?? ""),
        },
        verifiedBytes: first?.bytes,
        refused: [],
      },
    });
    expect(await store.recordNumbers()).toEqual(before);
  });

  test("waits for worker 0 and says so, once", async () => {
    const { store } = await savedRun([10]);
    const waits: string[] = [];
    let opening: Promise<unknown> | null = null;
    const onWait = (message: string) => {
      waits.push(message);
      opening = restore(new DirectoryStore(store.root, runUid), 2);
    };
    const outcome = await follow(store, 2, { onWait, patienceMs: 30_000 });
    await opening;
    expect(outcome).toMatchObject({ kind: "restored", restored: { resume: { step: 10 } } });
    expect(waits).toEqual(["Worker 0 has not opened attempt 2 yet: this worker waits for it."]);
  });

  test("gives up in the end, and says what may be wrong", async () => {
    const { store } = await savedRun([10]);
    expect(await follow(store, 2)).toMatchObject({
      kind: "failed",
      failure: "StorageUnavailable",
      problem: "NotOpened",
      message:
        "Cannot restore attempt 2 because worker 0 has not opened it in the log of this volume for 0.03 s; all workers must share the volume",
    });
  });

  test("ends its wait when it is told to", async () => {
    const signal = AbortSignal.timeout(10);
    await expect(follow(await temporaryStore(), 1, { patienceMs: 30_000, signal })).rejects.toThrow(/abort|timeout/);
  });

  test("is fenced by a higher attempt, and names it", async () => {
    const { store } = await savedRun([10]);
    await restore(store, 3);
    expect(await follow(store, 2)).toMatchObject({ kind: "failed", failure: "Fenced", fencedBy: 3 });
  });

  test.each<[string, (store: DirectoryStore, directory: string) => Promise<void>, string]>([
    ["sees another bit", (store, at) => flipBit(join(pathIn(store, at), "state.json"), 77), "BytesDiffer"],
    ["does not see it at all", (store, at) => rm(pathIn(store, at), { recursive: true }), "Missing"],
  ])("suspects its node where it %s in what worker 0 has matched, and refuses nothing", async (_, harm, reason) => {
    const { store, saved } = await savedRun([10]);
    await restore(store, 2);
    await harm(store, saved[0]?.directory ?? "");
    const before = await store.recordNumbers();
    expect(await follow(store, 2)).toMatchObject({
      kind: "failed",
      failure: "NodeSuspect",
      message: expect.stringContaining("worker 0 has matched its base on node node-a, and node node-b cannot"),
      refused: [{ step: 10, reason, node: "node-b" }],
    });
    expect(await store.recordNumbers()).toEqual(before);
  });
});
