import { appendFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, expect, test } from "vitest";
import { Diary } from "./diary.ts";

let directory: string;
let diary: Diary;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "diary-"));
  diary = new Diary(directory);
  return () => rmSync(directory, { recursive: true });
});

const write = (text: string) => appendFileSync(join(directory, "diary"), text);
const limit = (ms: number) => ({ signal: AbortSignal.timeout(ms) });

test("is empty before anybody has written", async () => {
  expect(await diary.entries()).toEqual([]);
});

test("takes a line for an entry once it has its end", async () => {
  write("running 5\ncrashed 7");
  expect(await diary.entries()).toEqual([{ what: "running", atMs: 5 }]);
  write("\n");
  expect(await diary.entries()).toHaveLength(2);
});

test("waits for an entry of the kind asked for, behind those that were there", async () => {
  write("running 5\n");
  const next = diary.next("running", { after: 1, ...limit(20_000) });
  write("crashed 6\n");
  write("running 8\n");
  expect(await next).toEqual({ what: "running", atMs: 8 });
});

test("gives up where nobody writes, and says what it waited for", async () => {
  write("running 5\n");
  await expect(diary.next("running", { after: 1, ...limit(1) })).rejects.toThrow(
    `Waited in vain for "running" in ${directory}/diary, behind 1 entries`,
  );
});

test("refuses what no container of ours writes", async () => {
  write("sleeping 5\n");
  await expect(diary.entries()).rejects.toThrow();
});
