import { describe, expect, test } from "vitest";
import { living } from "../../test/observed-builder.ts";
import { at } from "../../test/pod-builder.ts";
import { checkpoint, digest } from "../../test/records.ts";
import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { expectedOf } from "./expected.ts";
import { newSuspect, slackOf, stuckStep } from "./suspect.ts";

/** An ended attempt: how, from which checkpoint, and at which step. */
type Past = readonly [charge: "Failure" | "Disruption", from: string, lastStep: number | undefined, slack?: number];

/** Attempts from the oldest to the newest. */
function statusAfter(pasts: readonly Past[], rest: TrainingRunStatus = {}): TrainingRunStatus {
  const attempts = pasts.map(
    ([charge, from, lastStep, lastStepSlack], index): AttemptEntry => ({
      number: index + 1,
      generation: 1,
      pods: [],
      startTime: at(index),
      endTime: at(index + 1),
      charge,
      resumedFrom: { step: 400, digest: digest(from), tier: "Volume" },
      ...(lastStep === undefined ? {} : { lastStep }),
      ...(lastStepSlack === undefined ? {} : { lastStepSlack }),
    }),
  );
  return { attempts: attempts.toReversed(), checkpoints: [checkpoint(400, 1, "a"), checkpoint(300, 1, "c")], ...rest };
}

const fail = { noneVerified: "Fail" } as const;

describe("a checkpoint is suspected", () => {
  const suspected: readonly [title: string, pasts: readonly Past[], rest?: TrainingRunStatus][] = [
    [
      "after two crashes at the same step",
      [
        ["Failure", "a", 500],
        ["Failure", "a", 500],
      ],
    ],
    [
      "with a disruption between them",
      [
        ["Failure", "a", 500],
        ["Disruption", "a", 450],
        ["Disruption", "a", undefined],
        ["Failure", "a", 500],
      ],
    ],
    [
      "with a crash elsewhere between them",
      [
        ["Failure", "a", 500],
        ["Failure", "a", 430],
        ["Failure", "a", 500],
      ],
    ],
    [
      "of a fast trainer whose last steps nobody heard",
      [
        ["Failure", "a", 493, 13],
        ["Failure", "a", 497, 12],
      ],
    ],
    [
      "by attempts of the present lineage",
      [
        ["Failure", "a", 500],
        ["Failure", "a", 500],
      ],
      { base: { sinceAttempt: 1, generation: 1 } },
    ],
  ];
  test.each(suspected)("%s", (_, pasts, rest) => {
    const found = newSuspect(statusAfter(pasts, rest), fail);
    expect(found).toEqual({ step: 400, digest: digest("a"), stuckAt: pasts.at(-1)?.[2] });
  });

  const unsuspected: readonly [title: string, pasts: readonly Past[], rest?: TrainingRunStatus][] = [
    ["after one crash", [["Failure", "a", 500]]],
    [
      "after a crash and a disruption there",
      [
        ["Disruption", "a", 500],
        ["Failure", "a", 500],
      ],
    ],
    [
      "after crashes at other steps",
      [
        ["Failure", "a", 493],
        ["Failure", "a", 497],
      ],
    ],
    [
      "further apart than can go unheard",
      [
        ["Failure", "a", 400, 13],
        ["Failure", "a", 414, 13],
      ],
    ],
    [
      "after crashes from two checkpoints",
      [
        ["Failure", "b", 500],
        ["Failure", "a", 500],
      ],
    ],
    [
      "from which an attempt came past that step",
      [
        ["Failure", "a", 500],
        ["Disruption", "a", 501],
        ["Failure", "a", 500],
      ],
    ],
    [
      "by a crash in a lineage that was left",
      [
        ["Failure", "a", 500],
        ["Failure", "a", 500],
      ],
      { base: { sinceAttempt: 2, generation: 1 } },
    ],
    [
      "twice",
      [
        ["Failure", "a", 500],
        ["Failure", "a", 500],
      ],
      { suspects: [{ step: 400, digest: digest("a"), stuckAt: 500 }] },
    ],
  ];
  test.each(unsuspected)("not %s", (_, pasts, rest) => {
    expect(newSuspect(statusAfter(pasts, rest), fail)).toBeNull();
  });

  const alone: readonly [title: string, rest: TrainingRunStatus][] = [
    ["is on record", { checkpoints: [checkpoint(400, 1, "a")] }],
    [
      "is on record that is not suspected itself",
      {
        checkpoints: [checkpoint(400, 1, "a"), checkpoint(300, 1, "c")],
        suspects: [{ step: 300, digest: digest("c"), stuckAt: 350 }],
      },
    ],
    ["is told", { checkpoints: [] }],
  ];
  test.each(alone)("not where no older one %s, unless the run may start over", (_, rest) => {
    const status = statusAfter(
      [
        ["Failure", "a", 500],
        ["Failure", "a", 500],
      ],
      rest,
    );
    expect(newSuspect(status, fail)).toBeNull();
    expect(newSuspect(status, { noneVerified: "StartOver" })).toMatchObject({ step: 400 });
  });

  test("within the steps that a trainer does between two reports, and exactly where each is reported", () => {
    expect([2, 3, 33, 1000].map(slackOf)).toEqual([0, 1, 13, 400]);
  });
});

describe("a run is stuck", () => {
  const suspects = [{ step: 400, digest: digest("a"), stuckAt: 500 }];
  const crashes: readonly Past[] = [
    ["Failure", "a", 500],
    ["Failure", "a", 500],
  ];
  const cases: readonly [title: string, then: readonly Past[], step: number | null][] = [
    ["where it crashes at that step from an older checkpoint as well", [["Failure", "b", 500]], 500],
    ["where the last steps went unheard", [["Failure", "b", 495, 13]], 500],
    [
      "after a disruption on the way",
      [
        ["Disruption", "b", 450],
        ["Failure", "c", 500],
      ],
      500,
    ],
    ["not at another step", [["Failure", "b", 600]], null],
    ["not by a disruption there", [["Disruption", "b", 500]], null],
    [
      "not where it has come past that step since",
      [
        ["Disruption", "b", 700],
        ["Failure", "c", 500],
      ],
      null,
    ],
  ];
  test.each(cases)("%s", (_, then, step) => {
    expect(stuckStep(statusAfter([...crashes, ...then], { suspects }))).toBe(step);
  });
});

test("a suspect is left out, unless the user chooses it", () => {
  const suspects = [{ step: 400, digest: digest("a"), stuckAt: 500 }];
  const run = living({ status: { suspects }, spec: { resume: { from: { step: 400 } } } });
  const [entry] = run.status.attempts ?? [];
  if (entry === undefined) throw new Error("The run of the test has an attempt");
  expect(expectedOf(run, entry).refused).toEqual([digest("a")]);
  expect(expectedOf(run, { ...entry, from: '{"step":400}' })).toMatchObject({ base: { step: 400 }, refused: [] });
});
