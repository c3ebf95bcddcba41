import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { openDirectoryStore } from "@trainingrun/checkpoint/store/directory-store.ts";
import { build } from "esbuild";
import { expect, onTestFinished, test } from "vitest";

/* A script that its author has bundled saves, with the program of the writing thread beside it and without. */

const root = resolve(import.meta.dirname, "..", "..");
const script = { train: join(root, "examples", "linear", "train.ts") };
const thread = { "writer-thread": join(root, "trainer", "src", "saving", "writer-thread.ts") };
const inTrainingThread = "checkpoints are hashed and written in the training thread";

test.each([
  { what: "with the thread's program beside it", entryPoints: { ...script, ...thread }, says: false },
  { what: "without it, and says so", entryPoints: script, says: true },
])("a bundle saves $what", async ({ entryPoints, says }) => {
  // Inside the tree, so that it finds the native packages where it looks for them: above itself.
  mkdirSync(join(root, ".build"), { recursive: true });
  const outdir = mkdtempSync(join(root, ".build", "bundle-test-"));
  const checkpoints = mkdtempSync(join(tmpdir(), "bundle-"));
  onTestFinished(() => {
    for (const directory of [outdir, checkpoints]) rmSync(directory, { recursive: true, force: true });
  });
  const node = { bundle: true, platform: "node", format: "esm", target: "node24" } as const;
  await build({ entryPoints, outdir, outExtension: { ".js": ".mjs" }, splitting: true, ...node });
  const settings = ["--steps", "30", "--checkpoints", checkpoints];
  const { stdout } = await promisify(execFile)(process.execPath, [join(outdir, "train.mjs"), ...settings], {
    timeout: 50_000,
  });
  expect(stdout).toContain("done at step 30");
  expect(stdout.includes(inTrainingThread)).toBe(says);
  const { state } = await readLog(await openDirectoryStore(checkpoints, { runUid: "local" }));
  expect(state.checkpoints.at(-1)?.step).toBe(30);
});
