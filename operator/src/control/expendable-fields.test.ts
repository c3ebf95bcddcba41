import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { boundClaim } from "../../test/observed-builder.ts";
import { at } from "../../test/pod-builder.ts";
import { checkpoint, digest } from "../../test/records.ts";
import { runWith } from "../../test/run-builder.ts";
import { type AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { readStatus } from "../api/stored-status.ts";
import { judgeClaim } from "../core/claim.ts";
import { releaseDeadline } from "../core/deadline.ts";
import { expectedOf } from "../core/expected.ts";
import { suspectedNodes } from "../core/node-suspicion.ts";
import { stuckStep } from "../core/suspect.ts";
import { expendable } from "./expendable-fields.ts";
import { hasField, withoutFields } from "./kept-fields.ts";

type Schema = Readonly<{ properties?: Record<string, Schema>; items?: Schema }>;

/** The fields below a schema that have no fields themselves, as `attempts.pods.uid`. */
function leaves(path: string, { properties, items }: Schema): readonly string[] {
  if (items !== undefined) return leaves(path, items);
  if (properties === undefined) return [path];
  return Object.entries(properties).flatMap(([name, each]) => leaves(path === "" ? name : `${path}.${name}`, each));
}

const all = leaves("", z.toJSONSchema(TrainingRunStatus) as Schema);
const fields = Object.keys(expendable);
const isBelow = (parents: readonly string[]) => (field: string) =>
  parents.some((parent) => `${field}.`.startsWith(`${parent}.`));

// A field that is new must be put on one side: on this one, an older definition keeps runs from going on until it is replaced.
const decisive = [
  "startTime",
  "attempt",
  "fencedAttempt",
  "silence",
  "stop.attempt",
  "stop.cause",
  "stop.charge",
  "stop.reason",
  "stop.time",
  "removalTime",
  "base",
  "latestVerified",
  "checkpoints",
  "refused",
  "suspects",
  "attempts.number",
  "attempts.generation",
  "attempts.workers",
  "attempts.queue.group",
  "attempts.pods",
  "attempts.startTime",
  "attempts.endTime",
  "attempts.cause",
  "attempts.charge",
  "attempts.chargeDueTime",
  "attempts.suspectNode",
  "attempts.from",
  "attempts.source",
  "attempts.opened",
  "attempts.resumedFrom",
  "attempts.firstStepTime",
  "attempts.lastStep",
  "attempts.lastStepSlack",
  "attempts.lostSteps",
  "retry",
  "conditions.type",
  "conditions.status",
  "conditions.reason",
  "conditions.message",
  "conditions.lastTransitionTime",
];

test("every field of the status either decides or is known to be expendable", () => {
  const undecided = all.filter((field) => !isBelow(fields)(field) && !isBelow(decisive)(field));
  expect(undecided).toEqual([]);
  expect(decisive.filter(isBelow(fields))).toEqual([]);
  expect([...fields, ...decisive].filter((field) => !all.some((each) => isBelow([field])(each)))).toEqual([]);
});

test.each(Object.entries(expendable))("%s names who reads it", (field, { readers }) => {
  for (const reader of readers) {
    const source = readFileSync(join(import.meta.dirname, `../core/${reader}.ts`), "utf8");
    expect(source).toMatch(new RegExp(`\\b${field.split(".").at(-1)}\\b`));
  }
});

test("nothing that a restore is held against, or a claim or a crash judged by, is expendable", () => {
  const readers = new Set(Object.values(expendable).flatMap((each) => each.readers));
  const judges = ["claim", "deadline", "deletion", "expected", "lineage", "node-suspicion", "suspect"];
  expect(judges.filter((judge) => readers.has(judge))).toEqual([]);
});

const explained = {
  podHash: "h",
  podCount: 9,
  queue: { name: "gpus", priorityClass: "high" },
  reason: "Error",
  message: "words",
  exitCode: 1,
  finalCheckpoint: "Saved",
  graceUsedSeconds: "1.5",
  graceSeconds: 30,
  recoverySeconds: { detect: "1" },
  environment: { policy: "Warn", total: 0, differences: [] },
  partial: { loaded: 1, skipped: 0, missing: [], unexpected: [], reshaped: [], optimizerTensors: 0 },
  replay: { asked: 1, recorded: 1, compared: 1, result: "BitExact", tolerance: "0" },
  dump: "stack",
  fences: true,
} as const;

const crashed = (number: number): AttemptEntry => ({
  number,
  generation: 1,
  pods: [{ uid: `pod-${number}`, node: "node-a" }],
  startTime: at(number * 10),
  endTime: at(number * 10 + 5),
  cause: "Crashed",
  charge: "Failure",
  opened: true,
  resumedFrom: { step: 20, digest: digest("b"), tier: "Volume" },
  lastStep: 500 + number,
  lastStepSlack: 1,
});

/** A status with all that may be left out. */
const full = {
  observedGeneration: 1,
  state: "Running",
  attempt: 2,
  stop: { attempt: 2, cause: "RunDeleted", time: at(100), message: "words", exitCode: 1 },
  progress: { step: 5, metrics: [], lastUpdateTime: at(1), history: [] },
  interval: { seconds: "1", why: "asked" },
  graceNeededSeconds: 30,
  latestVerified: { ...checkpoint(20, 1, "b"), epoch: 1 },
  best: checkpoint(10, 1, "a"),
  checkpoints: [{ ...checkpoint(20, 1, "b"), epoch: 1, kept: ["last"] }, checkpoint(10, 1, "a")],
  totals: {
    attempts: 2,
    disruptions: 0,
    failures: 2,
    stalls: 0,
    steps: 9,
    lostSteps: 1,
    wallSeconds: 9,
    trainingSeconds: 5,
  },
  attempts: [{ ...crashed(2), ...explained }, crashed(1)],
  conditions: [
    {
      type: "Progressing",
      status: "False",
      reason: "RunDeleted",
      message: "words",
      lastTransitionTime: at(1),
      observedGeneration: 1,
    },
  ],
};

function read(stored: unknown): TrainingRunStatus {
  const found = readStatus(stored);
  expect(found).toMatchObject({ kind: "Read", leftOut: [] });
  return found.kind === "Read" ? found.status : {};
}

describe("a status without all that is expendable", () => {
  const bare = withoutFields(full, fields);

  test("can be read", () => {
    expect(fields.filter((field) => !hasField(full, field))).toEqual([]);
    expect(fields.filter((field) => hasField(bare, field))).toEqual([]);
    expect(read(bare)).toEqual(bare);
  });

  const metadata = { deletionTimestamp: at(90) };
  const unasked = [{ graceSeconds: 30, deletionRequestedAt: null }];
  const suspected = { ...full, suspects: [{ step: 20, digest: digest("a"), stuckAt: 503 }] };
  const nodes = [{ ...crashed(2), cause: "NodeSuspect", charge: "Nothing", opened: undefined, suspectNode: "node-b" }];

  const judged: readonly [title: string, status: object, judge: (status: TrainingRunStatus) => unknown, by: string][] =
    [
      [
        "has a lost claim judged",
        full,
        (status) => judgeClaim(runWith({ status }), { kind: "Absent", claimName: boundClaim.claimName }),
        "latestVerified",
      ],
      ["has a restore told what is on record", full, (status) => told(status), "checkpoints"],
      ["has a restore told what not to begin with", suspected, (status) => told(status), "suspects"],
      ["has a run found stuck", suspected, stuckStep, "attempts.lastStepSlack"],
      ["has a node suspected", { ...full, attempts: nodes }, suspectedNodes, "attempts.suspectNode"],
      [
        "has a deleted run let go",
        full,
        (status) => releaseDeadline(runWith({ metadata, status }), status, unasked),
        "stop",
      ],
    ];

  test.each(judged)("%s as with it, which without what decides it is not", (_, status, judge, by) => {
    const outcome = judge(read(status));
    expect(judge(read(withoutFields(status, fields)))).toEqual(outcome);
    expect(judge(read(withoutFields(status, [by])))).not.toEqual(outcome);
  });
});

function told(status: TrainingRunStatus): unknown {
  return expectedOf(runWith({ status }), crashed(3));
}
