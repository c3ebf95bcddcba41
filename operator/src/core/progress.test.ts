import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { expect, test } from "vitest";
import { TrainingRunStatus } from "../api/status.ts";
import { type Hearing, nextProgress as next } from "./progress.ts";

const progress: Progress = {
  version: 1,
  step: 250,
  targetStep: 1000,
  epoch: 0,
  samples: 8000,
  metrics: [{ name: "loss", value: "0.5" }],
  stepsPerSecond: 10,
  saves: { committed: 0, failed: 0, skipped: 0, lastSeconds: 0, lastBytes: 0, stallSeconds: 0 },
  backend: "wasm",
  time: "2026-01-02T03:04:05.000Z",
};

const hearing: Hearing = { at: Date.parse(progress.time), isFirst: false };
const nextProgress = (previous: Parameters<typeof next>[0], told: Progress) => next(previous, told, hearing);

test.each([
  ["at a steady pace", { stepsPerSecond: 10 }, { percentage: 25, estimatedRemainingSeconds: 75 }],
  ["past its target", { step: 1200 }, { percentage: 100, estimatedRemainingSeconds: 0 }],
  ["that stands almost still", { stepsPerSecond: 1e-300 }, { estimatedRemainingSeconds: 3_153_600_000 }],
])("a run %s", (_what, over, expected) => {
  const status = nextProgress(undefined, { ...progress, ...over });
  expect(status).toMatchObject(expected);
  expect(TrainingRunStatus.safeParse({ progress: status }).success).toBe(true);
});

test("a pace of nothing gives no estimate", () => {
  expect(nextProgress(undefined, { ...progress, stepsPerSecond: 0 })).not.toHaveProperty("estimatedRemainingSeconds");
});

test("the history is thinned evenly and forgets what is trained again", () => {
  let status = nextProgress(undefined, progress);
  for (let step = 1; step <= 500; step += 1) status = nextProgress(status, { ...progress, step });
  const steps = status.history.map(([step]) => step);
  expect(steps.length).toBeLessThanOrEqual(60);
  expect(steps).toEqual(steps.toSorted((a, b) => a - b));
  expect(nextProgress(status, { ...progress, step: 200 }).history.every(([step]) => step <= 200)).toBe(true);
});

test("the time at which a step was first heard of stays until another is, or another attempt tells of the same", () => {
  const at = (minute: number) => Date.parse("2026-01-01T00:00:00Z") + minute * 60_000;
  const first = next(undefined, progress, { at: at(0), isFirst: true });
  const again = next(first, progress, { at: at(1), isFirst: false });
  const further = next(again, { ...progress, step: 251 }, { at: at(2), isFirst: false });
  const anew = next(again, progress, { at: at(3), isFirst: true });
  expect([first, again, further, anew].map(({ advanceTime }) => advanceTime?.slice(14, 16))).toEqual([
    "00",
    "00",
    "02",
    "03",
  ]);
});
