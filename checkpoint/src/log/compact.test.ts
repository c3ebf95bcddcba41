import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { restore, save, savedRun } from "../../test/fixture.ts";
import { finishRun } from "../finish.ts";
import { prune } from "../prune.ts";
import { DirectoryStore } from "../store/directory-store.ts";
import { StorageUnavailableError } from "../store/store.ts";
import { compactLog, renewOpen } from "./compact.ts";
import { readLog } from "./read.ts";

const own = { attempt: 1, podUid: "pod-1", after: 3 };

/** The fold as a process sees it that has read nothing yet, without where the open lies. */
async function history(store: DirectoryStore) {
  const { state } = await readLog(new DirectoryStore(store.root, store.runUid));
  const { attempts, checkpoints, refused, done } = state;
  return { opened: state.opened?.attempt, attempts, checkpoints, refused, done };
}

describe("compacting the log while the attempt goes on", () => {
  test("renews the open once enough lies above it, and the history is the same", async () => {
    const { store } = await savedRun([10, 20]);
    expect(await renewOpen(store, own)).toBe(false);
    await save(store, 1, 30);
    const before = await history(store);
    expect(await renewOpen(store, own)).toBe(true);
    expect(await history(store)).toEqual(before);
    expect((await readLog(store)).records).toHaveLength(1);
    expect(await renewOpen(store, own)).toBe(false);
    await save(store, 1, 40);
    expect((await history(store)).checkpoints).toHaveLength(4);
  });

  test("keeps the log short for ever, and its two newest opens", async () => {
    const { store } = await savedRun([]);
    for (let step = 1; step <= 12; step += 1) {
      await save(store, 1, step);
      await renewOpen(store, own);
      await compactLog(store);
      expect((await store.recordNumbers()).length).toBeLessThan(10);
    }
    expect(await store.recordNumbers()).toEqual([13, 14, 15, 16, 17]);
    expect((await history(store)).checkpoints).toHaveLength(12);
    expect(await restore(store, 2)).toMatchObject({ kind: "restored", restored: { resume: { step: 12 } } });
  });

  test("leaves the same history wherever it is cut off", async () => {
    const { store } = await savedRun([10, 20, 30]);
    await renewOpen(store, own);
    for (const step of [40, 50, 60]) await save(store, 1, step);
    await renewOpen(store, own);
    const before = await history(store);
    const remove = store.removeRecords.bind(store);
    store.removeRecords = async ([lowest = 0]) => {
      await remove([lowest]);
      throw new StorageUnavailableError("killed");
    };
    for (const left of [8, 7, 6, 5]) {
      await expect(compactLog(store)).rejects.toThrow("killed");
      expect(await store.recordNumbers()).toHaveLength(left);
      expect(await history(store)).toEqual(before);
    }
    store.removeRecords = remove;
    expect(await compactLog(store)).toBe(0);
  });

  test("can still tell the history when the newest open is damaged", async () => {
    const { store } = await savedRun([10, 20, 30]);
    await renewOpen(store, own);
    await compactLog(store);
    const before = await history(store);
    await writeFile(join(store.root, "log", "000000000005.json"), "no record");
    expect(await history(store)).toEqual(before);
    const other = new DirectoryStore(store.root, store.runUid);
    await save(other, 1, 40);
    expect((await history(store)).checkpoints).toHaveLength(4);
  });

  test("waits for the bytes of every tombstone, and does nothing for a finished run or another's", async () => {
    const { store, saved } = await savedRun([10, 20, 30]);
    expect(await renewOpen(store, { ...own, podUid: "another" })).toBe(false);
    expect(await renewOpen(store, { ...own, attempt: 2 })).toBe(false);
    const verified = saved.map(({ manifest }) => manifest.digest);
    const policy = { last: 2, best: null, everySteps: null, maxBytes: null };
    const request = { attempt: 1, policy, verified, recorded: [], now: "2026-01-01T00:00:00.000Z" };
    const remove = store.remove.bind(store);
    store.remove = () => Promise.reject(new Error("killed"));
    await expect(prune(store, request)).rejects.toThrow("killed");
    expect(await renewOpen(store, own)).toBe(false);
    store.remove = remove;
    await prune(store, request);
    expect(await renewOpen(store, own)).toBe(true);
    await finishRun(store, { attempt: 1, manifest: verified[2] ?? "" });
    expect(await renewOpen(store, { ...own, after: 1 })).toBe(false);
  });
});
