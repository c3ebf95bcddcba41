import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readLog } from "./log-reader.ts";

let directory: string;
let path: string;
const signal = new AbortController().signal;
const whole = { tailLines: undefined, limitBytes: undefined, mayGrow: undefined };

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "log-"));
  path = join(directory, "log");
});
afterEach(() => rm(directory, { recursive: true }));

async function read(request: Partial<typeof whole> | { tailLines?: number; limitBytes?: number }): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of readLog({ path, ...whole, ...request }, signal)) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}

test.each([
  ["everything", "a\nb\nc\n", {}, "a\nb\nc\n"],
  ["the last line", "a\nb\nc\n", { tailLines: 1 }, "c\n"],
  ["a last line without an end", "a\nb\nc", { tailLines: 1 }, "c"],
  ["the last two lines", "a\nb\nc", { tailLines: 2 }, "b\nc"],
  ["all lines when there are not as many as wanted", "a\nb\n", { tailLines: 9 }, "a\nb\n"],
  ["nothing of no lines", "a\nb\n", { tailLines: 0 }, ""],
  ["lines longer than a chunk", `a\n${"b".repeat(200_000)}\nc\n`, { tailLines: 2 }, `${"b".repeat(200_000)}\nc\n`],
  ["no more bytes than wanted", "abcdef", { limitBytes: 3 }, "abc"],
  ["an empty log", "", { tailLines: 3 }, ""],
])("reads %s", async (_, log, request, expected) => {
  await writeFile(path, log);
  expect(await read(request)).toBe(expected);
});

test("follows a log until it can grow no more, and misses nothing that came last", async () => {
  await writeFile(path, "first\n");
  let isRunning = true;
  const chunks: string[] = [];
  for await (const chunk of readLog({ path, ...whole, mayGrow: () => isRunning }, signal)) {
    chunks.push(chunk.toString("utf8"));
    if (chunks.length > 1) continue;
    await appendFile(path, "last\n");
    isRunning = false;
  }
  expect(chunks).toEqual(["first\n", "last\n"]);
});
