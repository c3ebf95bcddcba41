import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { finalSavePatienceSeconds } from "@trainingrun/checkpoint/contract/save-patience.ts";
import { expect, test } from "vitest";
import { progressAt } from "../../test/sample.ts";
import { StallWatch } from "./stall-watch.ts";

type Look = readonly [second: number, step: number | "unreadable", found?: { step: number; seconds: number }];

/** What a watch of 30 s finds at each look; between two of them it looks every second and finds the earlier again. */
const courses: readonly [what: string, looks: readonly Look[]][] = [
  [
    "steps that are done are no stall",
    [
      [0, 1],
      [29, 2],
      [58, 3],
      [87, 4],
    ],
  ],
  [
    "no step for the whole time is one",
    [
      [0, 7],
      [29, 7],
      [30, 7, { step: 7, seconds: 30 }],
      [45, 7, { step: 7, seconds: 45 }],
    ],
  ],
  [
    "a new step ends it",
    [
      [0, 7],
      [31, 7, { step: 7, seconds: 31 }],
      [32, 8],
      [61, 8],
      [62, 8, { step: 8, seconds: 30 }],
    ],
  ],
  [
    "what cannot be read does not put it off",
    [
      [0, 7],
      [10, "unreadable"],
      [30, "unreadable", { step: 7, seconds: 30 }],
    ],
  ],
  [
    "before the first report nothing stalls",
    [
      [0, "unreadable"],
      [500, "unreadable"],
      [501, 1],
      [530, 1],
      [531, 1, { step: 1, seconds: 30 }],
    ],
  ],
  [
    "after the last step nothing does either, where the trainer does not tell of its phases",
    [
      [0, 100],
      [500, 100],
    ],
  ],
  [
    "a trainer that was set back does steps all the same",
    [
      [0, 50],
      [20, 40],
      [49, 40],
      [50, 40, { step: 40, seconds: 30 }],
    ],
  ],
];

test.each(courses)("%s", (_, looks) => {
  const watch = new StallWatch(30);
  const reportOf = (step: number | "unreadable") => (step === "unreadable" ? null : progressAt(step));
  let last = reportOf(looks[0]?.[1] ?? "unreadable");
  let second = 0;
  for (const [at, step, found = null] of looks) {
    for (; second < at; second += 1) watch.look(last, second * 1000);
    last = reportOf(step);
    expect(watch.look(last, at * 1000), `at second ${at}`).toEqual(found && { ...found, expects: "Step" });
    second = at + 1;
  }
});

test("a pod that is frozen for an hour has not stalled when it goes on", () => {
  const watch = new StallWatch(30);
  watch.look(progressAt(7), 0);
  expect(watch.look(progressAt(7), 3_600_000)).toBeNull();
  expect(watch.look(progressAt(8), 3_601_000)).toBeNull();
});

test("a machine that does nothing but look every now and then sees the stall in the end", () => {
  const watch = new StallWatch(30);
  watch.look(progressAt(7), 0);
  const found = [1, 2, 3].map((look) => watch.look(progressAt(7), look * 60_000));
  expect(found).toEqual([null, null, { step: 7, seconds: 30, expects: "Step" }]);
});

const saves = progressAt(0).saves;
const lastStep = progressAt(100, { phase: "Training" });
const stoppedEarly = progressAt(60, { phase: "Finishing" });
const large = { step: 60, seconds: 0, bytes: 10e9 };

/** What a watch finds that looks at one report after the other, second by second. */
function foundIn(timeoutSeconds: number, reports: readonly Progress[]) {
  const watch = new StallWatch(timeoutSeconds);
  return reports.map((report, second) => watch.look(report, second * 1000)).filter((found) => found !== null);
}

/** The same report, at once and for so many seconds. */
function during(seconds: number, report: Progress): Progress[] {
  return Array.from({ length: seconds + 1 }, () => report);
}

test.each<[string, Progress, timeoutSeconds: number, besideSeconds: number]>([
  ["during its last evaluation has an hour", lastStep, 30, 3_600],
  ["during its last evaluation has the time of a step where that is longer", lastStep, 7_200, 7_200],
  ["that has stopped early has the time of a step", stoppedEarly, 30, 30],
  [
    "whose saves take long has the time of a step",
    { ...stoppedEarly, saves: { ...saves, lastSeconds: 300, lastBytes: 1e9 } },
    30,
    30,
  ],
  [
    "whose first save is large has the time of a step",
    { ...stoppedEarly, saves: { ...saves, committed: 0, inFlight: large } },
    30,
    30,
  ],
])("a trainer without another step %s, beside the patience of its final save", (_, report, timeoutSeconds, beside) => {
  const { inFlight, lastBytes } = report.saves;
  const seconds = beside + finalSavePatienceSeconds({ ...report.saves, bytes: inFlight?.bytes ?? lastBytes });
  expect(foundIn(timeoutSeconds, during(seconds, report))).toEqual([{ step: report.step, seconds, expects: "End" }]);
});

const patience = finalSavePatienceSeconds({ ...saves, bytes: saves.lastBytes });

test("a final save that comes after a long evaluation has its own time, and the stall is as long as no step was done", () => {
  const saving = progressAt(100, { phase: "Finishing" });
  const reports = [...during(2_999, lastStep), ...during(30 + patience, saving)];
  expect(foundIn(30, reports)).toEqual([{ step: 100, seconds: 3_030 + patience, expects: "End" }]);
});

test("a final save that moves is waited for as long as it does, and a step is not, however much a save moves meanwhile", () => {
  const moving = (report: Progress, movedSeconds: number): Progress => ({
    ...report,
    saves: { ...saves, inFlight: { step: report.step, seconds: movedSeconds, bytes: 10, movedSeconds } },
  });
  const slow = (report: Progress) => Array.from({ length: 20_000 }, (_, second) => moving(report, second));
  expect(foundIn(30, slow(stoppedEarly))).toEqual([]);
  expect(foundIn(30, slow(progressAt(60)).slice(0, 31))).toEqual([{ step: 60, seconds: 30, expects: "Step" }]);
});
