import { describe, expect, test } from "vitest";
import { dead, deleted, disruption, nodeWith, preempted } from "../../test/ended-pods.ts";
import { gang, nodeOf, workerPod } from "../../test/gang-builder.ts";
import { condition, decideOn, kinds } from "../../test/observed-builder.ts";
import { at, ended } from "../../test/pod-builder.ts";
import { checkpoint, digest } from "../../test/records.ts";
import { type Fields, start } from "../../test/run-builder.ts";
import { createWorld } from "../../test/world.ts";
import { gangSizes, settleCharges, settleOperator, statusOf } from "../../test/world-play.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { Observed, ObservedNode } from "./observed.ts";

const over = (worker: number, trainer: Fields, status: Fields = {}) =>
  workerPod(worker, { metadata: worker === 1 ? {} : deleted, status: dead(trainer, ended("agent", 0), status) });
/** Worker 1 crashed, and the others were asked to stop for it. */
const pods = [
  over(0, ended("trainer", 143, preempted)),
  over(1, ended("trainer", 1, { message: "Connection reset by peer" })),
  over(2, ended("trainer", 143, preempted)),
];
const crash = {
  attempt: 1,
  cause: "Crashed",
  charge: "Failure",
  reason: "NonZeroExit",
  message: "Connection reset by peer",
  exitCode: 1,
  time: at(101),
};
const all = (changed: Partial<ObservedNode> = {}, worker = 2) =>
  [0, 1, 2].map((each) => nodeWith({ name: nodeOf(each), ...(each === worker ? changed : {}) }));
const silent = all({ ready: "Unknown", readySince: start + 90_000 });
const endedAt = start + 130_000;

/** The run after the gang's end was settled with all nodes well. */
function settled(fields: Parameters<typeof gang>[0] = {}): TrainingRun {
  const run = gang({ ...fields, status: { stop: crash, ...fields.status } });
  return { ...run, status: decideOn({ run, pods, nodes: all(), now: endedAt }).status };
}
const look = (run: TrainingRun, over: Partial<Observed> = {}) =>
  decideOn({ run, pods, nodes: all(), now: endedAt + 20_000, ...over });
const first = ({ attempts }: TrainingRunStatus) => attempts?.find(({ number }) => number === 1);

describe("the end of a gang that is charged to the program", () => {
  test("is on record at once, takes of the budget, and is not counted yet", () => {
    const { status } = settled();
    expect(first(status)).toMatchObject({
      cause: "Crashed",
      charge: "Failure",
      exitCode: 1,
      chargeDueTime: "2026-01-01T00:03:10.000Z",
    });
    expect(status).toMatchObject({
      state: "Backoff",
      retry: { failures: 1, failuresLeft: 2 },
      totals: { attempts: 1, failures: 0, disruptions: 0 },
    });
  });

  test("is counted as a failure a minute later, once, whether another attempt has begun by then or not", () => {
    const { status } = look(settled(), { now: endedAt + 60_000 });
    expect(status.attempts).toMatchObject([{ number: 2 }, { number: 1, cause: "Crashed", charge: "Failure" }]);
    expect([first(status)?.chargeDueTime, status.totals?.failures, status.retry?.failures]).toEqual([undefined, 1, 1]);
    const run = settled();
    const again = look({ ...run, status }, { now: endedAt + 120_000 });
    expect(again.status.totals?.failures).toBe(1);
    const begun = look(run, { now: endedAt + 15_000 });
    expect([begun.status.attempts?.length, kinds(begun).includes("CreatePod")]).toEqual([2, true]);
    expect(begun.requeueAfterMs).toBe(45_000);
  });

  test.each<[string, Partial<Observed>, reason: string, cause: string]>([
    ["a node of it falls silent", { nodes: silent }, "NodeSilent", "NodeLost"],
    ["a node of it is deleted", { nodes: all({ presence: "Absent", ready: "Unknown" }) }, "NodeGone", "NodeLost"],
    ["a person calls a node of it lost", { nodes: all({ outOfService: true }, 0) }, "NodeOutOfService", "NodeLost"],
    [
      "the cluster says that it took a pod of it",
      {
        pods: [
          ...pods.slice(0, 2),
          over(2, ended("trainer", 143), { conditions: disruption("DeletionByTaintManager") }),
        ],
      },
      "DeletionByTaintManager",
      "NodeLost",
    ],
  ])("is a disruption where within the minute %s", (_, seen, reason, cause) => {
    const decision = look(settled(), seen);
    expect(first(decision.status)).toMatchObject({
      cause,
      charge: "Disruption",
      reason,
      exitCode: 1,
      message: expect.stringContaining("Connection reset by peer"),
    });
    expect(first(decision.status)?.chargeDueTime).toBeUndefined();
    expect(decision.status).toMatchObject({
      retry: { failures: 0, failuresLeft: 3, disruptions: 1 },
      totals: { failures: 0, disruptions: 1 },
    });
    expect(decision.events.map((event) => event.reason)).toContain("FailureTakenBack");
    const later = look({ ...settled(), status: decision.status }, { ...seen, now: endedAt + 90_000 });
    expect(later.status.totals).toMatchObject({ failures: 0, disruptions: 1 });
  });

  test("is a failure for good where a node of it falls silent later", () => {
    const counted = look(settled(), { now: endedAt + 60_000 }).status;
    expect(
      look({ ...settled(), status: counted }, { nodes: silent, now: endedAt + 61_000 }).status.totals,
    ).toMatchObject({ failures: 1, disruptions: 0 });
  });

  test("is a disruption at once where a node of it is silent by then", () => {
    const stopping = gang({ status: { stop: crash } });
    const { status } = decideOn({ run: stopping, pods, nodes: silent, now: endedAt });
    expect(first(status)).toMatchObject({ cause: "NodeLost", charge: "Disruption", reason: "NodeSilent" });
    expect(status).toMatchObject({ retry: { failures: 0 }, totals: { failures: 0, disruptions: 1 } });
    expect(first(status)?.chargeDueTime).toBeUndefined();
  });

  test("is no failure where a node was silent while the others were stopped, though it is back by the end", () => {
    const alive = [workerPod(0), pods[1], workerPod(2)].filter((pod) => pod !== undefined);
    const run = gang({ status: { stop: crash } });
    const stopped = decideOn({ run, pods: alive, nodes: silent, now: start + 110_000 });
    expect(stopped.status.stop).toMatchObject({ cause: "NodeLost", charge: "Disruption", exitCode: 1 });
    const back = decideOn({ run: { ...run, status: stopped.status }, pods, nodes: all(), now: endedAt });
    expect(first(back.status)).toMatchObject({ cause: "NodeLost", charge: "Disruption" });
  });

  test("of one pod is counted with its end", () => {
    const single = decideOn({
      run: gang({ entry: { workers: 1, pods: [{ uid: "pod-0", node: "node-a" }] }, spec: { workers: 1 } }),
      pods: [workerPod(0, { status: dead(ended("trainer", 1)) })],
      nodes: all(),
    });
    expect(single.status.totals).toMatchObject({ failures: 1 });
    expect(first(single.status)?.chargeDueTime).toBeUndefined();
  });
});

describe("a run that would be over by a charge that is undecided", () => {
  const spent = { spec: { retry: { failures: 0 } } };
  const ruled = {
    spec: { retry: { rules: [{ exitCodes: [1], action: "Fail" }] } },
    status: { stop: { ...crash, cause: "ByRule", charge: "Terminal", reason: "Fail" } },
  };

  test.each([
    ["its budget", spent, "one more failure than spec.retry.failures (0)"],
    ["a rule", ruled, "Attempt 1 ended at step 7: ByRule"],
  ])("begins nothing and is not Failed before it is counted: by %s", (_, fields, words) => {
    const run = settled(fields);
    const held = look(run, { now: endedAt + 59_000 });
    expect(held.status).toMatchObject({ state: "Backoff" });
    expect([kinds(held), held.requeueAfterMs]).toEqual([["ReleasePod", "ReleasePod", "ReleasePod"], 1_000]);
    expect(condition(held, "Progressing")).toMatchObject({
      status: "False",
      reason: "ChargeUndecided",
      message: expect.stringContaining(words),
    });
    const over = look(run, { now: endedAt + 60_000 });
    expect(condition(over, "Failed")).toMatchObject({ status: "True", message: expect.stringContaining(words) });
  });

  test.each([
    ["its budget", spent],
    ["a rule", ruled],
  ])("goes on where a node turns out to be lost: by %s", (_, fields) => {
    const { status } = look(settled(fields), { nodes: silent, now: endedAt + 59_000 });
    expect(status).toMatchObject({ retry: { failures: 0 }, totals: { disruptions: 1 } });
    expect(status.conditions?.some(({ type }) => type === "Failed")).toBe(false);
  });

  test("is over all the same by the limit of its disruptions", () => {
    const limited = settled({
      spec: { retry: { failures: 3, disruptions: 1 } },
      status: { retry: { failures: 0, failuresLeft: 3, disruptions: 1, fruitless: 0 } },
    });
    expect(condition(look(limited, { nodes: silent }), "Failed")).toMatchObject({ reason: "TooManyDisruptions" });
  });
});

describe("a failure that is taken back", () => {
  /** The run with a later attempt that has ended as a failure, or refilled the budget. */
  const followed = (retry: Fields, later: Fields[]) => {
    const run = settled();
    const attempts = [...later, ...(run.status.attempts ?? [])] as TrainingRunStatus["attempts"];
    return {
      ...run,
      status: {
        ...run.status,
        attempt: 1 + later.length,
        attempts,
        retry: { ...run.status.retry, ...retry } as TrainingRunStatus["retry"],
      },
    };
  };
  const entry = (number: number, fields: Fields) => ({
    number,
    generation: 1,
    pods: [],
    startTime: at(135),
    ...fields,
  });
  const failure = entry(2, { endTime: at(140), cause: "Crashed", charge: "Failure" });

  test.each([
    ["one of two is given back", { failures: 2 }, [failure], 1],
    ["nothing is given back after a refill", { failures: 0 }, [entry(2, {})], 0],
    ["nothing is given back of what came after a refill", { failures: 1 }, [failure], 1],
  ])("%s", (_, retry, later, failures) => {
    const { status } = look(followed(retry, later), { nodes: silent });
    expect(status.retry).toMatchObject({ failures, failuresLeft: 3 - failures });
  });

  test("shortens the wait for the next attempt, and clears the checkpoint that it had made a suspect", () => {
    const base = { resumedFrom: { step: 40, digest: digest("a"), tier: "Volume" } };
    const suspects = [
      { step: 40, digest: digest("a"), stuckAt: 7 },
      { step: 30, digest: digest("b"), stuckAt: 50 },
    ];
    const run = settled({
      entry: base,
      status: {
        suspects,
        latestVerified: checkpoint(40, 1, "a"),
        retry: { failures: 2, failuresLeft: 1, disruptions: 0, fruitless: 0 },
      },
    });
    expect(Date.parse(run.status.retry?.nextAttemptTime ?? "") - endedAt).toBeGreaterThan(29_000);
    const { status } = look(run, { nodes: silent, now: endedAt + 1_000 });
    expect(status.suspects).toEqual([{ step: 30, digest: digest("b"), stuckAt: 50 }]);
    expect(status.attempt).toBe(2);
  });
});

test.runIf(gangSizes.includes(2))(
  "a node that dies takes its peers down first, and the run loses none of its budget",
  () => {
    const world = createWorld({ workers: 2 });
    const act = (...deeds: readonly (keyof typeof world.events)[]) => {
      for (const deed of deeds) {
        world.events[deed]();
        settleOperator(world);
      }
    };
    settleOperator(world);
    act("start", "train", "save", "train", "crash", "terminate");
    expect(statusOf(world)).toMatchObject({ retry: { failures: 1 }, totals: { failures: 0 } });
    act("tick", "tick", "silence");
    expect(statusOf(world)).toMatchObject({
      retry: { failures: 0, disruptions: 1 },
      totals: { failures: 0, disruptions: 1 },
    });
    settleCharges(world);
    expect(statusOf(world).totals).toMatchObject({ failures: 0, disruptions: 1 });
  },
);
