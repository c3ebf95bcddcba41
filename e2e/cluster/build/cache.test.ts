import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { cached } from "./cache.ts";

let directory: string;
const entry = { name: "tool-1", what: "Making the tool", timeoutMs: 10_000, report: () => {} };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "trainingrun-cache-"));
  vi.stubEnv("TRAININGRUN_CACHE", directory);
});

afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(directory, { recursive: true, force: true });
});

it("makes a thing once, however many want it at once", async () => {
  let made = 0;
  const make = async (unfinished: string) => {
    made += 1;
    await writeFile(join(unfinished, "tool"), "whole");
  };
  const paths = await Promise.all(Array.from({ length: 5 }, () => cached(entry, make)));
  expect([made, new Set(paths)]).toEqual([1, new Set([join(directory, "tool-1")])]);
  expect(readFileSync(join(directory, "tool-1", "tool"), "utf8")).toBe("whole");
});

it("holds nothing of a thing whose making failed halfway", async () => {
  const failure = cached(entry, async (unfinished) => {
    await writeFile(join(unfinished, "tool"), "half");
    throw new Error("no space left on device");
  });
  await expect(failure).rejects.toThrow("no space");
  expect(readdirSync(directory)).toEqual([]);
});

it("removes what a making left that was killed, and nothing of other things", async () => {
  await mkdir(join(directory, "tool-1.unfinished-killed"));
  await mkdir(join(directory, "tool-11.unfinished-at-work"));
  await cached(entry, async () => {});
  expect(readdirSync(directory).sort()).toEqual(["tool-1", "tool-11.unfinished-at-work"]);
});
