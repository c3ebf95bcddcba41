import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { expect, onTestFinished, test, vi } from "vitest";
import { ProgressFile } from "./progress-file.ts";

const progress = (step: number): Progress => ({
  version: 1,
  step,
  targetStep: 100,
  epoch: 0.5,
  samples: 10,
  metrics: [],
  stepsPerSecond: 3,
  saves: { committed: 0, failed: 0, skipped: 0, lastSeconds: 0, lastBytes: 0, stallSeconds: 0 },
  backend: "plain",
  time: "2026-01-01T00:00:00.000Z",
});

function fileBelow(checkpoints: string): ProgressFile {
  return new ProgressFile({ kind: "local", runUid: "local", checkpoints, interval: { steps: 1 }, graceSeconds: 30 });
}

test("a request for a save that cannot be taken away is heeded once", () => {
  const checkpoints = mkdtempSync(join(tmpdir(), "progress-"));
  onTestFinished(() => rmSync(checkpoints, { recursive: true, force: true }));
  const file = fileBelow(checkpoints);
  expect(file.saveRequested(0)).toBe(false);
  mkdirSync(join(checkpoints, "control", "save"), { recursive: true });
  expect(file.saveRequested(1000)).toBe(true);
  file.acceptSaveRequest();
  expect(file.saveRequested(2000)).toBe(false);
});

test("a pause of saving is told once in the agent's words, again where they change, and so is its end", () => {
  const said = vi.spyOn(console, "error").mockReturnValue(undefined);
  onTestFinished(() => said.mockRestore());
  const checkpoints = mkdtempSync(join(tmpdir(), "progress-"));
  onTestFinished(() => rmSync(checkpoints, { recursive: true, force: true }));
  const file = fileBelow(checkpoints);
  const pause = join(checkpoints, "control", "saving-paused");
  mkdirSync(join(checkpoints, "control"), { recursive: true });
  const looks = [
    null,
    "The log has no room: 9 of 9\n",
    "The log has no room: 9 of 9\n",
    "The byte budget.\n",
    "",
    null,
  ];
  const found = looks.map((words) => {
    if (words === null) rmSync(pause, { force: true });
    else writeFileSync(pause, words);
    return file.savingPaused();
  });
  expect(found).toEqual([false, true, true, true, true, false]);
  const paused = "Saving is paused; the last save before the end is made all the same.";
  expect(said.mock.calls.map(([text]) => text)).toEqual([
    `${paused} The log has no room: 9 of 9`,
    `${paused} The byte budget.`,
    paused,
    "Saving goes on.",
  ]);
});

test("progress that cannot be written stops no training, and is written again once it can be", () => {
  const checkpoints = mkdtempSync(join(tmpdir(), "progress-"));
  onTestFinished(() => rmSync(checkpoints, { recursive: true, force: true }));
  const control = join(checkpoints, "control");
  const file = fileBelow(checkpoints);
  writeFileSync(control, "no directory");
  file.write(0, progress(1));
  file.update(1000, () => progress(2));
  rmSync(control);
  file.update(2000, () => progress(3));
  expect(Progress.parse(JSON.parse(readFileSync(join(control, "progress.json"), "utf8"))).step).toBe(3);
});

/** A process that reports step 1, holds step 7 back because it comes too soon after, and ends so. */
function reportAndEnd(end: string): { code: number | null; step: number } {
  const checkpoints = mkdtempSync(join(tmpdir(), "progress-"));
  onTestFinished(() => rmSync(checkpoints, { recursive: true, force: true }));
  const place = { kind: "local", runUid: "local", checkpoints, interval: { steps: 1 }, graceSeconds: 30 };
  const script = `
    import { ProgressFile } from ${JSON.stringify(new URL("progress-file.ts", import.meta.url).href)};
    const file = new ProgressFile(${JSON.stringify(place)});
    file.write(0, ${JSON.stringify(progress(1))});
    file.update(1, () => (${JSON.stringify(progress(6))}));
    file.update(2, () => (${JSON.stringify(progress(7))}));
    ${end}`;
  const { status } = spawnSync(process.execPath, ["--input-type=module", "--eval", script], { timeout: 60_000 });
  const written = readFileSync(join(checkpoints, "control", "progress.json"), "utf8");
  return { code: status, step: Progress.parse(JSON.parse(written)).step };
}

test.each([
  ["throws", 'throw new Error("a bad batch")', 1, 7],
  ["fails in what it awaits", 'await Promise.reject(new Error("a bad batch"))', 1, 7],
  ["exits", "process.exit(42)", 42, 7],
  ["comes to its end", "", 0, 7],
  ["has written it already", "file.writeHeldBack(3); process.exit(0)", 0, 7],
  ["is killed before it can", 'process.kill(process.pid, "SIGKILL"); await new Promise(() => undefined)', null, 1],
])("the last report of a process that %s", (_, end, code, step) => {
  expect(reportAndEnd(end)).toEqual({ code, step });
});
