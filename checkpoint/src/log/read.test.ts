import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { restore, runUid, save, savedRun } from "../../test/fixture.ts";
import { prune } from "../prune.ts";
import { type DirectoryStore, openDirectoryStore } from "../store/directory-store.ts";
import { appendRecord } from "./append.ts";
import { fold } from "./fold.ts";
import { readLog, readStateBelow } from "./read.ts";
import { recordBytes } from "./record.ts";

/** The state of the log, which must be the fold of all its records however much of it was known before. */
async function wholeState(store: DirectoryStore) {
  const { records, state } = await readLog(store);
  expect(state).toEqual(fold(records));
  return state;
}

test("a log that has not changed is not folded again", async () => {
  const { store } = await savedRun([10]);
  expect((await readLog(store)).state).toBe((await readLog(store)).state);
});

test("a log that nothing is known of is read whole, however long it is", async () => {
  const { store, saved } = await savedRun([10]);
  const manifest = saved[0]?.manifest.digest ?? "";
  const time = "2026-01-01T00:00:00.000Z";
  const refusal = { kind: "refuse", attempt: 1, manifest, reason: "BytesDiffer", message: "", node: "n" } as const;
  for (let number = 3; number <= 40; number += 1) {
    await store.createRecord(number, recordBytes({ ...refusal, version: 1, writer: `w${number}`, time }));
  }
  const { records } = await readLog(await openDirectoryStore(store.root, { runUid }));
  expect(records.map(({ number }) => number)).toEqual(Array.from({ length: 40 }, (_, index) => index + 1));
});

test("a record is read once, and forgotten when a newer open carries it", async () => {
  const { store } = await savedRun([10]);
  await restore(store, 2);
  await save(store, 2, 20);
  await readLog(store);
  const read: number[] = [];
  const readRecord = store.readRecord.bind(store);
  store.readRecord = (number, maxBytes) => {
    read.push(number);
    return readRecord(number, maxBytes);
  };
  const { records } = await readLog(store);
  expect([records.map(({ number }) => number), read]).toEqual([[3, 4], []]);
  await readStateBelow(store, 3);
  expect(read.toSorted()).toEqual([1, 2]);
});

test("what was known of a log changes nothing about what is read of it", async () => {
  const { store, saved } = await savedRun([10, 20, 30]);
  const verified = saved.map(({ manifest }) => manifest.digest);
  expect((await wholeState(store)).checkpoints).toHaveLength(3);
  const policy = { last: 2, best: null, everySteps: null, maxBytes: null };
  await prune(store, { attempt: 1, policy, verified, recorded: [], now: "2026-01-01T00:00:00.000Z" });
  expect((await wholeState(store)).checkpoints).toHaveLength(2);
  await restore(store, 2);
  expect(await wholeState(store)).toMatchObject({ opened: { attempt: 2 }, deleted: [] });
  await save(store, 2, 40);
  expect((await wholeState(store)).checkpoints).toHaveLength(3);
});

test("a record that was damaged when it was read counts again once it is whole", async () => {
  const { store, saved } = await savedRun([10]);
  const { records } = await readLog(store);
  const bytes = await store.readRecord(records.length, 1 << 20);
  const path = join(store.root, "log", `${String(records.length + 1).padStart(12, "0")}.json`);
  await writeFile(path, "no record");
  expect(await wholeState(store)).toMatchObject({ last: 3, damaged: [3], checkpoints: [{ step: 10 }] });
  await writeFile(path, bytes ?? "");
  expect(await wholeState(store)).toMatchObject({ last: 3, damaged: [] });
  const manifest = saved[0]?.manifest.digest ?? "";
  await appendRecord(store, { kind: "done", attempt: 1, manifest });
  expect(await wholeState(store)).toMatchObject({ last: 4, done: { manifest } });
});
