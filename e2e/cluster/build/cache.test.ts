import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { mkdir, utimes, writeFile } from "node:fs/promises";
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

it("makes room, when it makes a thing, of older ones that nobody has wanted for a month", async () => {
  const [now, longAgo] = [new Date(), new Date(Date.now() - 40 * 24 * 3600 * 1000)];
  const [old, recent, wanted] = ["tool-aaaaaaaaaaaa", "tool-bbbbbbbbbbbb", "tool-cccccccccccc"];
  for (const name of [old, recent, wanted, "toolbox-aaaaaaaaaaaa", "tool-notes"]) await mkdir(join(directory, name));
  for (const name of [old, wanted, "toolbox-aaaaaaaaaaaa", "tool-notes"])
    await utimes(join(directory, name), longAgo, longAgo);
  await utimes(join(directory, recent), now, now);
  await cached({ ...entry, name: wanted }, async () => {});
  await cached({ ...entry, name: "tool-dddddddddddd" }, async () => {});
  expect(readdirSync(directory).sort()).toEqual(
    [recent, wanted, "tool-dddddddddddd", "tool-notes", "toolbox-aaaaaaaaaaaa"].sort(),
  );
});
