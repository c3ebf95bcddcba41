import { describe, expect, test } from "vitest";
import { expectedCause } from "../harness/expected-cause.ts";
import { interruptionKinds } from "../harness/interruptions.ts";
import { type Ended, exactnessResult } from "./exactness.ts";
import { holds } from "./result.ts";

type Attempt = Ended["run"]["status"]["attempts"][number];

describe("the exactness measure", () => {
  test("holds where four runs, interrupted in every way, end like the undisturbed one", () => {
    expect(holds(exactnessResult(reference(), four({})))).toBe(true);
  });

  const broken: readonly [string, Ended, readonly Ended[]][] = [
    ["one run ended with other weights", reference(), [...four({}).slice(1), interrupted({ weights: "b" })]],
    ["no weights were found anywhere", { ...reference(), weights: "none" }, four({ weights: "none" })],
    ["there were only fifteen interruptions", reference(), four({}).slice(1)],
    ["nothing was interrupted", reference(), []],
    ["the undisturbed run failed", reference({ state: "Failed" }), four({})],
    ["the undisturbed run was disturbed", reference({ attempts: [attempt(2, {}), attempt(1, {})] }), four({})],
    ["the runs stopped short", reference(), four({ step: 540 })],
    ["a graceful end lost a step", reference(), four({ 1: { lostSteps: 1 } })],
    ["a graceful end's loss is unknown", reference(), four({ 1: { lostSteps: undefined } })],
    ["SIGKILL lost two intervals", reference(), four({ 4: { lostSteps: 120 } })],
    ["what SIGKILL lost is unknown", reference(), four({ 4: { lostSteps: undefined } })],
    ["an eviction found an attempt that had crashed", reference(), four({ 2: { cause: "Crashed" } })],
    ["an attempt ended that nobody interrupted", reference(), four({ more: [attempt(7, { cause: "Complete" })] })],
    ["the damaged checkpoint was not refused", reference(), four({ refused: 0 })],
    ["another checkpoint was refused as well", reference(), four({ refused: 2 })],
  ];
  test.each(broken)("does not hold where %s", (_what, undisturbed, runs) => {
    expect(holds(exactnessResult(undisturbed, runs))).toBe(false);
  });
});

type Change = Readonly<{
  weights?: string;
  state?: string;
  step?: number;
  refused?: number;
  attempts?: Attempt[];
  more?: Attempt[];
  [attempt: number]: Partial<Record<keyof Attempt, unknown>>;
}>;

function four(change: Change): Ended[] {
  return [1, 2, 3, 4].map(() => interrupted(change));
}

function reference(change: Change = {}): Ended {
  return { ...interrupted({ attempts: [attempt(1, { cause: "Complete" })], ...change }), interruptions: [] };
}

/** A run that was interrupted once in every way, in the order of the kinds, and then completed. */
function interrupted({
  weights = "a",
  state = "Complete",
  step = 600,
  refused = 1,
  more = [],
  ...change
}: Change): Ended {
  const ended = interruptionKinds.map((kind, index) =>
    attempt(index + 1, { cause: expectedCause[kind], lostSteps: kind === "SIGKILL" ? 30 : 0, ...change[index + 1] }),
  );
  const attempts = change.attempts ?? [...ended, attempt(6, { cause: "Complete" }), ...more].toReversed();
  const checkpoint = { step, attempt: 6, digest: "d", bytes: 1, tiers: ["Volume"] };
  const refusal = { step: 1, attempt: 1, digest: "r", reason: "BytesDiffer", message: "", node: "" };
  const status = {
    state,
    latestVerified: checkpoint,
    checkpoints: [],
    refused: Array.from({ length: refused }, () => refusal),
    attempts,
    conditions: [],
  };
  const interruptions = interruptionKinds.map((kind, index) => ({ kind, attempt: index + 1 }));
  return { run: { status }, interruptions, weights };
}

function attempt(number: number, more: Partial<Record<keyof Attempt, unknown>>): Attempt {
  return { number, pods: [], ...more } as Attempt;
}
