import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { restore, save, savedRun } from "../../test/fixture.ts";
import { prune } from "../prune.ts";
import type { DirectoryStore } from "../store/directory-store.ts";
import { appendRecord } from "./append.ts";
import { fold } from "./fold.ts";
import { readLog } from "./read.ts";

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
