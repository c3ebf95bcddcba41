import { existsSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { pointResumeAt } from "./resume-link.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "agent-link-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test.each([
  ["nothing", () => {}],
  ["a link elsewhere", () => symlinkSync("/elsewhere", join(root, "resume"))],
  ["a link to the same place", () => symlinkSync("/data/step-1", join(root, "resume"))],
  ["the temporary link of a process that died", () => symlinkSync("/x", join(root, `resume.${process.pid}.tmp`))],
])("where there was %s, there is the link and nothing else", async (_what, before) => {
  before();
  await pointResumeAt(join(root, "resume"), "/data/step-1");
  expect(readlinkSync(join(root, "resume"))).toBe("/data/step-1");
  expect(readdirSync(root)).toEqual(["resume"]);
});

test("a first start removes the link of an earlier life, and needs none to be there", async () => {
  symlinkSync("/elsewhere", join(root, "resume"));
  await pointResumeAt(join(root, "resume"), null);
  expect(readdirSync(root)).toEqual([]);
  await pointResumeAt(join(root, "resume"), null);
});

test("a directory of someone else in that place is not touched", async () => {
  mkdirSync(join(root, "resume"));
  await expect(pointResumeAt(join(root, "resume"), "/data/step-1")).rejects.toThrow();
  expect(lstatSync(join(root, "resume")).isDirectory()).toBe(true);
  await expect(pointResumeAt(join(root, "resume"), null)).rejects.toThrow();
  expect(existsSync(join(root, "resume"))).toBe(true);
});
