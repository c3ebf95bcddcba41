import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { flipBit } from "../test/damage.ts";
import { restore, resumedAt, save, savedRun } from "../test/fixture.ts";
import { readLog } from "./log/read.ts";
import { DirectoryStore } from "./store/directory-store.ts";
import { DamagedFileError } from "./store/store.ts";

describe("a restore from a damaged log", () => {
  test("is held to a fence whose open is damaged, and so is everyone at or below it (I1)", async () => {
    const { store } = await savedRun([10]);
    await restore(store, 3);
    await flipBit(join(store.root, "log", "000000000003.json"), 300);
    expect(await restore(fresh(store), 2)).toMatchObject({
      failure: "Fenced",
      message: "Cannot restore attempt 2 because attempt 3 is open",
    });
    expect(await restore(fresh(store), 3)).toMatchObject({
      failure: "Fenced",
      message: "Cannot restore attempt 3 because record 3 of the log, the open of this attempt, is damaged",
    });
    await expect(save(fresh(store), 1, 20)).rejects.toThrow("attempt 3 has opened the log");
    await expect(save(fresh(store), 3, 20)).rejects.toThrow("record 3, the open of attempt 3, is damaged");
    const next = await restore(fresh(store), 4);
    expect(resumedAt(next)).toBe(10);
    expect(next.warnings).toEqual(["Records of the log are missing or damaged, and count for nothing: 3"]);
    expect((await readLog(fresh(store))).state).toMatchObject({ opened: { attempt: 4 }, fence: { attempt: 4 } });
  });

  test("is held to the fence of an open that is gone altogether (I1)", async () => {
    const { store } = await savedRun([10]);
    await restore(store, 2);
    await save(store, 2, 20);
    await rm(join(store.root, "log", "000000000003.json"));
    expect(await restore(fresh(store), 2)).toMatchObject({ failure: "Fenced" });
    expect(resumedAt(await restore(fresh(store), 3))).toBe(10);
  });

  test("goes on without a record that the device cannot read, when it has tried often enough", async () => {
    const { store } = await savedRun([10, 20]);
    const outcome = await restore(unreadable(store, 2, 99), 2);
    expect(resumedAt(outcome)).toBe(20);
    expect(outcome.warnings).toEqual(["Records of the log are missing or damaged, and count for nothing: 2"]);
  });

  test("takes a record that the device reads in the end for whole", async () => {
    const { store } = await savedRun([10, 20]);
    expect(await restore(unreadable(store, 2, 2), 2)).toMatchObject({ kind: "restored", warnings: [] });
  });

  test("names the record that cannot be read when nothing is left without it", async () => {
    const { store } = await savedRun([10]);
    expect(await restore(unreadable(store, 1, 99), 2)).toMatchObject({
      failure: "LogUnreadable",
      message: expect.stringContaining("record 1 of the log is unreadable: Cannot read 1 because it answered EIO"),
    });
  });
});

/** The same directory as another process sees it, without what this one has read. */
function fresh(store: DirectoryStore): DirectoryStore {
  return new DirectoryStore(store.root, store.runUid);
}

/** The same directory, of which the device cannot read one record for so many tries. */
function unreadable(store: DirectoryStore, record: number, tries: number): DirectoryStore {
  const failing = fresh(store);
  let left = tries;
  failing.readRecord = async (number, limit) => {
    if (number !== record || left === 0) return DirectoryStore.prototype.readRecord.call(failing, number, limit);
    left -= 1;
    throw new DamagedFileError(`Cannot read ${number} because it answered EIO`);
  };
  return failing;
}
