import { describe, expect, test } from "vitest";
import { expectedCause } from "../harness/expected-cause.ts";
import { type InterruptionKind, interruptionKinds } from "../harness/interruptions.ts";
import type { RunView } from "../harness/run-view.ts";
import { checksOf, type Seen } from "./checks.ts";

type Status = RunView["status"];
type Attempt = Status["attempts"][number];

describe("the demo's promises", () => {
  test("hold where everything went as promised", () => {
    expect(brokenBy({})).toEqual([]);
  });

  const table: readonly [string, Change, string][] = [
    ["the weights differ", { weights: "b" }, "the final weights are the same, byte for byte"],
    ["the run failed", { conditions: [condition("Failed")] }, "both trainings completed, to the last step"],
    ["the run stopped short", { step: 900 }, "both trainings completed, to the last step"],
    ["an interruption was not made", { made: interruptionKinds.slice(0, 4) }, "the run was interrupted as planned"],
    ["the undisturbed run was disturbed", { undisturbedAttempts: 2 }, "the undisturbed run was not"],
    ["a preemption was called a crash", { 3: { cause: "Crashed" } }, "each end was told apart"],
    ["a disruption was charged", { failures: 2 }, "no disruption was charged as a failure"],
    ["a disruption was not counted", { disruptions: 2 }, "no disruption was charged as a failure"],
    ["an eviction lost a step", { 1: { lostSteps: 1 } }, "nothing was lost where the pod could save"],
    ["what an eviction lost is unknown", { 2: { lostSteps: undefined } }, "nothing was lost where the pod could save"],
    ["nothing was refused", { refused: [] }, "the flipped bit was found and that checkpoint refused"],
    ["it was refused for another reason", { refused: [refusal({ reason: "Missing" })] }, "the flipped bit was found"],
    ["another checkpoint was refused", { refused: [refusal({ attempt: 2 })] }, "the flipped bit was found"],
    ["a second one was refused", { refused: [refusal({}), refusal({ step: 700 })] }, "the flipped bit was found"],
    [
      "the next attempt began with the damaged one",
      { 6: { resumedFrom: { step: 800, digest: "r" } } },
      "the attempt after it used an older checkpoint",
    ],
    ["the next attempt began anew", { 6: { resumedFrom: undefined } }, "the attempt after it used an older checkpoint"],
    ["a count is wrong", { scraped: [{ query: "q", value: "5", expected: "6", met: false }] }, "Prometheus scraped"],
    ["Prometheus was asked nothing", { scraped: [] }, "Prometheus scraped"],
  ];
  test.each(table)("do not hold where %s", (_what, change, promise) => {
    expect(brokenBy(change).some((what) => what.startsWith(promise))).toBe(true);
  });
});

describe("the demo's promises with an object store", () => {
  const planned = ["eviction", "eviction during a save", "preemption", "SIGKILL", "lost volume"] as const;
  const resumedFrom = { step: 700, digest: "o", tier: "ObjectStore" };
  const went = { planned, made: planned, refused: [], 6: { resumedFrom } };

  test("hold where the run went on from the object store", () => {
    expect(brokenBy(went)).toEqual([]);
  });

  const table: readonly [string, Change, string][] = [
    ["it went on from the volume", { 6: { resumedFrom: { ...resumedFrom, tier: "Volume" } } }, "with the volume wiped"],
    ["it began anew", { 6: { resumedFrom: undefined } }, "with the volume wiped"],
    ["a checkpoint was refused", { refused: [refusal({})] }, "no checkpoint had to be refused"],
  ];
  test.each(table)("do not hold where %s", (_what, change, promise) => {
    expect(brokenBy({ ...went, ...change }).some((what) => what.startsWith(promise))).toBe(true);
  });
});

type Change = Readonly<{
  planned?: readonly InterruptionKind[];
  weights?: string;
  conditions?: Status["conditions"];
  step?: number;
  made?: readonly InterruptionKind[];
  undisturbedAttempts?: number;
  failures?: number;
  disruptions?: number;
  refused?: Status["refused"];
  scraped?: Seen["scraped"];
  [attempt: number]: Partial<Record<keyof Attempt, unknown>>;
}>;

/** The promises that a demo breaks which went as promised but for one thing. */
function brokenBy(change: Change): string[] {
  const planned = change.planned ?? interruptionKinds;
  const ended = planned.map((kind, index) =>
    attempt(index + 1, { cause: expectedCause[kind], lostSteps: 0, ...change[index + 1] }),
  );
  const last = attempt(6, { cause: "Complete", resumedFrom: { step: 700, digest: "o" }, ...change[6] });
  const interrupted = statusOf({
    attempts: [...ended, last].toReversed(),
    refused: change.refused ?? [refusal({})],
    retry: { disruptions: change.disruptions ?? 3 },
    totals: { failures: change.failures ?? 1 },
    conditions: change.conditions ?? [condition("Complete")],
    latestVerified: checkpoint(change.step ?? 1000),
  });
  const undisturbed = statusOf({
    attempts: Array.from({ length: change.undisturbedAttempts ?? 1 }, (_, index) => attempt(index + 1, {})),
  });
  const interruptions = (change.made ?? planned).map((kind, index) => ({ kind, attempt: index + 1 }));
  return checksOf({
    interrupted: { run: { status: interrupted }, interruptions, weights: change.weights ?? "a" },
    undisturbed: { run: { status: undisturbed }, interruptions: [], weights: "a" },
    scraped: change.scraped ?? [{ query: "q", value: "6", expected: "6", met: true }],
    planned,
  }).flatMap(({ what, held }) => (held ? [] : [what]));
}

function statusOf(more: Partial<Status>): Status {
  return {
    state: "Complete",
    progress: { step: 1000, targetStep: 1000, metrics: [], history: [] },
    latestVerified: checkpoint(1000),
    checkpoints: [],
    refused: [],
    attempts: [],
    conditions: [condition("Complete")],
    ...more,
  };
}

function checkpoint(step: number) {
  return { step, attempt: 6, digest: "d", bytes: 1, tiers: ["Volume"] };
}

function condition(type: string): Status["conditions"][number] {
  return { type, status: "True", reason: type, message: "" };
}

function refusal(more: Partial<Status["refused"][number]>): Status["refused"][number] {
  return { step: 800, attempt: 5, digest: "r", reason: "BytesDiffer", message: "", node: "", ...more };
}

function attempt(number: number, more: Partial<Record<keyof Attempt, unknown>>): Attempt {
  return { number, pods: [], ...more } as Attempt;
}
