import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { expect, onTestFinished, test } from "vitest";
import type { PodPlace } from "./place.ts";
import { leaveRecordOnStop, provisionalRecord, type Standing } from "./provisional-record.ts";

const digest = `blake3:${"a".repeat(64)}`;

test.each<[string, Standing, { finalCheckpoint: string; checkpoint: string | null }]>([
  [
    "steps that no commit holds are lost",
    { attempt: 2, step: 9, saved: null },
    { finalCheckpoint: "TimedOut", checkpoint: null },
  ],
  [
    "an older commit does not hold the step",
    { attempt: 2, step: 9, saved: { step: 5, digest } },
    { finalCheckpoint: "TimedOut", checkpoint: null },
  ],
  [
    "a commit of this step holds it",
    { attempt: 2, step: 9, saved: { step: 9, digest } },
    { finalCheckpoint: "Saved", checkpoint: digest },
  ],
  [
    "before the first step there is nothing to save",
    { attempt: 2, step: 0, saved: null },
    { finalCheckpoint: "NotAttempted", checkpoint: null },
  ],
])("%s", (_, standing, expected) => {
  const record = provisionalRecord(standing);
  const { attempt, step } = standing;
  expect(TrainerRecord.parse(record)).toEqual({ kind: "preempted", attempt, step, graceUsedSeconds: 0, ...expected });
});

test.each(["before", "after"])("the record stands as soon as a stop is heard %s training began", (when) => {
  const place = podPlace();
  const stop = new AbortController();
  if (when === "before") stop.abort();
  let step = 1;
  leaveRecordOnStop(place, stop, () => ({ attempt: 2, step, saved: null }));
  step = 7;
  stop.abort();
  const left = TrainerRecord.parse(JSON.parse(readFileSync(place.terminationLog, "utf8")));
  expect(left).toMatchObject({ kind: "preempted", step: when === "before" ? 1 : 7, finalCheckpoint: "TimedOut" });
  expect(TrainerRecord.parse(JSON.parse(readFileSync(join(place.control, "preempted"), "utf8")))).toEqual(left);
});

function podPlace(): PodPlace {
  const directory = mkdtempSync(join(tmpdir(), "provisional-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  const control = join(directory, "control");
  mkdirSync(control);
  return {
    kind: "pod",
    runUid: "run",
    attempt: 2,
    worker: 0,
    checkpoints: directory,
    volume: "Durable",
    control,
    terminationLog: join(directory, "termination-log"),
    interval: { steps: 1 },
    graceSeconds: 30,
  };
}
