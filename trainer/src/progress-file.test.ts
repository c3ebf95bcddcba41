import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { expect, onTestFinished, test } from "vitest";
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
