import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { ControlFile, readControlFile, requestSave, writeAtomically } from "./control-directory.ts";

const Schema = z.object({ version: z.literal(1), step: z.int() });
let control: string;
beforeEach(() => {
  control = join(mkdtempSync(join(tmpdir(), "agent-control-")), "control");
});
afterEach(() => rmSync(join(control, ".."), { recursive: true, force: true }));

test("what is written is read, the directory is made, and no temporary file stays", async () => {
  await writeAtomically(join(control, "restored"), '{"version":1,"step":4}');
  expect(await readControlFile(join(control, "restored"), Schema)).toEqual({ version: 1, step: 4 });
  expect(readdirSync(control)).toEqual(["restored"]);
});

test.each([
  ["torn", '{"version":1,"st'],
  ["of another version", '{"version":2,"step":4}'],
  ["empty", ""],
  ["longer than any control file", `{"version":1,"step":4}${" ".repeat(2 ** 20)}`],
])("a file that is %s is as good as absent", async (_what, text) => {
  await writeAtomically(join(control, "progress.json"), text);
  expect(await readControlFile(join(control, "progress.json"), Schema)).toBeNull();
});

test("a file that is read again shows what stands there at each look", async () => {
  const path = join(control, "progress.json");
  const file = new ControlFile(path, Schema);
  const [one, two] = ['{"version":1,"step":1}', '{"version":1,"step":2}'];
  const seen: unknown[] = [];
  for (const text of [one, one, '{"version":1,"st', "{}", two, one]) {
    await writeAtomically(path, text);
    seen.push((await file.read())?.step);
  }
  expect(seen).toEqual([1, 1, undefined, undefined, 2, 1]);
  rmSync(path);
  expect(await file.read()).toBeNull();
});

test("the directory lets the group of trainer and agent replace files, whatever the umask", async () => {
  await writeAtomically(join(control, "restored"), "{}");
  expect(statSync(control).mode & 0o7777).toBe(0o2775);
});

test("an absent file, and a directory in its place, are null", async () => {
  expect(await readControlFile(join(control, "done"), Schema)).toBeNull();
  await writeAtomically(join(control, "done/inside"), "");
  expect(await readControlFile(join(control, "done"), Schema)).toBeNull();
});

test("a pipe in its place is null, and nobody waits for it", async () => {
  await writeAtomically(join(control, "restored"), "{}");
  execFileSync("mkfifo", [join(control, "done")]);
  expect(await readControlFile(join(control, "done"), Schema)).toBeNull();
});

test("of a file that is too long nothing is read", async () => {
  await writeAtomically(join(control, "done"), '{"version":1,"step":4}');
  truncateSync(join(control, "done"), 2 ** 30);
  const before = process.memoryUsage.rss();
  expect(await readControlFile(join(control, "done"), Schema)).toBeNull();
  expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 28);
});

test("a save is asked for once, however often, and anew after the trainer took it", async () => {
  await requestSave(control);
  await requestSave(control);
  expect(readdirSync(control)).toEqual(["save"]);
  rmSync(join(control, "save"));
  await requestSave(control);
  expect(readFileSync(join(control, "save"), "utf8")).toBe("");
  writeFileSync(join(control, "save"), "a reader's note");
  await requestSave(control);
  expect(readFileSync(join(control, "save"), "utf8")).toBe("a reader's note");
});
