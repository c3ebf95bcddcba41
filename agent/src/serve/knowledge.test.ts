import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { type CheckpointRef, emptyState, type RunState } from "@trainingrun/checkpoint/log/state.ts";
import { describe, expect, test } from "vitest";
import { digestOf, keepTwo, refusedOf, summaryOf } from "../../test/sample.ts";
import { type Findings, knowledgeFrom, latestVerified } from "./knowledge.ts";

const time = "2030-01-01T12:00:00Z";
const restored: Restored = {
  version: 1,
  run: "run-uid",
  attempt: 2,
  podUid: "pod-2",
  resume: null,
  refused: [],
  verifiedBytes: 0,
  seconds: 0,
  time,
};

function refOf(step: number, over: Partial<CheckpointRef> = {}): CheckpointRef {
  const { digest, bytes, metrics } = summaryOf(step);
  return { digest, bytes, metrics, step, attempt: 2, directory: `step-${step}`, unhealthy: false, time, ...over };
}

function lossOf(step: number, value: string): CheckpointRef {
  return refOf(step, { metrics: [{ name: "loss", value }] });
}

/** A log that attempt 2 holds, with these checkpoints. */
function stateOf(checkpoints: CheckpointRef[], over: Partial<RunState> = {}): RunState {
  const opened = { attempt: 2, podUid: "pod-2", node: "node-a", base: null, generation: 1, number: 1, time };
  return { ...emptyState, last: 9, opened, attempts: [{ attempt: 2, base: null }], checkpoints, ...over };
}

function findings(state: RunState, over: Partial<Findings> = {}): Findings {
  const verified = new Set(state.checkpoints.map(({ digest }) => digest));
  const quiet = { plan: null, beforeMirror: null, restored, suspected: [], problems: [], mirror: null } as const;
  return { attempt: 2, policy: keepTwo, fenced: false, state, verified, durability: "Durable", ...quiet, ...over };
}

test("the newest verified checkpoint is the highest step that was matched, not the highest step", () => {
  const state = stateOf([refOf(1), refOf(2), refOf(3)]);
  const verified = new Set([refOf(1).digest, refOf(2).digest]);
  const known = knowledgeFrom(findings(state, { verified }));
  expect(latestVerified(known)?.step).toBe(2);
  expect(known.shelf.map(({ summary, verified }) => [summary.step, verified])).toEqual([
    [3, false],
    [2, true],
    [1, true],
  ]);
});

test.each([
  ["the lowest for Min", "Min", [lossOf(1, "0.5"), lossOf(2, "0.2"), lossOf(3, "0.9")], 2],
  ["the highest for Max", "Max", [lossOf(1, "0.5"), lossOf(2, "0.2"), lossOf(3, "0.9")], 3],
  ["of equals the newer", "Min", [lossOf(1, "0.2"), lossOf(2, "0.2")], 2],
  ["never NaN", "Min", [lossOf(1, "NaN"), lossOf(2, "5")], 2],
  ["even an infinity, if there is nothing else", "Min", [lossOf(1, "Infinity")], 1],
  ["nothing without the metric", "Min", [refOf(1)], null],
] as const)("the best is %s", (_what, mode, checkpoints, step) => {
  const policy = { ...keepTwo, best: { metric: "loss", mode, count: 1 } };
  expect(knowledgeFrom(findings(stateOf([...checkpoints]), { policy })).best?.step ?? null).toBe(step);
});

test("the best is not one that nobody has verified", () => {
  const policy = { ...keepTwo, best: { metric: "loss", mode: "Min", count: 1 } as const };
  const state = stateOf([lossOf(1, "0.5"), lossOf(2, "0.1")]);
  const known = knowledgeFrom(findings(state, { policy, verified: new Set([refOf(1).digest]) }));
  expect(known.best?.step).toBe(1);
});

test("refusals of the log and of the restore are each shown once, newest first, and only own ones are counted", () => {
  const refusal = (step: number, attempt: number) => {
    const { digest, reason, message, node } = refusedOf(step);
    return { digest, attempt, reason, message, node, time };
  };
  const state = stateOf([refOf(1), refOf(2), refOf(3)], { refused: [refusal(1, 1), refusal(2, 2)] });
  const found = { ...restored, refused: [refusedOf(2), refusedOf(9)] };
  const known = knowledgeFrom(findings(state, { restored: found }));
  expect(known.refused.map(({ step }) => step)).toEqual([2, 1, 9]);
  expect(known.verificationFailures).toBe(1);
  expect(known.shelf.map(({ summary }) => summary.step)).toEqual([3]);
});

test.each<[string, Partial<Findings>, string[]]>([
  ["nothing", {}, []],
  ["records that do not parse", { state: stateOf([], { damaged: [4, 5] }) }, ["LogDamaged"]],
  ["a log that lost the open of this attempt", { attempt: 3 }, ["LogIncomplete"]],
  [
    "a tight budget",
    { plan: { keep: [], remove: [], keptBytes: 1, shrunk: "1 of 2", pauseSaving: null } },
    ["BudgetTight"],
  ],
  [
    "a spent budget",
    { plan: { keep: [], remove: [], keptBytes: 1, shrunk: "x", pauseSaving: { limit: "Budget", overview: "2 of 2" } } },
    ["BudgetSpent"],
  ],
  [
    "a log that can carry no more",
    { plan: { keep: [], remove: [], keptBytes: 1, shrunk: null, pauseSaving: { limit: "Log", overview: "9 of 8" } } },
    ["LogFull"],
  ],
  [
    "a budget that goes before the mirror",
    { beforeMirror: { reason: "BudgetBeforeMirror", message: "3 of 2" } },
    ["BudgetBeforeMirror"],
  ],
  ["a storage error", { problems: [{ reason: "VolumeFull", message: "full" }] }, ["VolumeFull"]],
])("%s is shown as a problem", (_what, over, reasons) => {
  expect(knowledgeFrom(findings(stateOf([]), over)).problems.map(({ reason }) => reason)).toEqual(reasons);
});

test("the reasons to keep come from the last plan, and a fence shows", () => {
  const ref = refOf(1);
  const plan = { keep: [{ ref, reasons: ["last"] }], remove: [], keptBytes: 10, shrunk: null, pauseSaving: null };
  const state = stateOf([ref], { done: { attempt: 2, manifest: digestOf("1") } });
  const known = knowledgeFrom(findings(state, { plan, fenced: true }));
  expect(known).toMatchObject({ phase: "Fenced", shelf: [{ kept: ["last"] }], done: digestOf("1") });
});

describe("With an object store", () => {
  const state = stateOf([lossOf(1, "0.1"), lossOf(2, "0.5"), lossOf(3, "0.9")], {
    done: { attempt: 2, manifest: refOf(3).digest },
  });
  const policy = { ...keepTwo, best: { metric: "loss", mode: "Min", count: 1 } as const };
  const mirror = { mirrored: new Set([refOf(2).digest]), recorded: new Set<string>(), done: false };
  const both = ["Volume", "ObjectStore"];

  test("each checkpoint names the tiers that have it", () => {
    const known = knowledgeFrom(findings(state, { policy, mirror }));
    expect(known.shelf.map(({ summary }) => summary.tiers)).toEqual([["Volume"], both, ["Volume"]]);
    expect(latestVerified(known)).toMatchObject({ step: 3, tiers: ["Volume"] });
    expect(known).toMatchObject({ best: { step: 1 }, done: refOf(3).digest });
  });

  test("what was on record as being there is, until the store was read", () => {
    const recorded = new Set([refOf(1).digest]);
    const tiersBy = (mirrored: ReadonlySet<string> | null) =>
      knowledgeFrom(findings(state, { policy, mirror: { ...mirror, mirrored, recorded } })).shelf.map(
        ({ summary }) => summary.tiers,
      );
    expect(tiersBy(null)).toEqual([["Volume"], ["Volume"], both]);
    expect(tiersBy(new Set())).toEqual([["Volume"], ["Volume"], ["Volume"]]);
  });

  test("a volume that ends with the pod counts for nothing until the object store has it (I9, I10)", () => {
    const known = knowledgeFrom(findings(state, { policy, mirror, durability: "Ephemeral" }));
    expect(known.shelf.map(({ verified }) => verified)).toEqual([false, true, false]);
    expect(latestVerified(known)).toMatchObject({ step: 2, tiers: both });
    expect(known).toMatchObject({ best: { step: 2 }, done: null });
    const all = {
      mirrored: new Set([1, 2, 3].map((step) => refOf(step).digest)),
      recorded: new Set<string>(),
      done: true,
    };
    const finished = knowledgeFrom(findings(state, { policy, mirror: all, durability: "Ephemeral" }));
    expect([latestVerified(finished)?.step, finished.done]).toEqual([3, refOf(3).digest]);
  });
});
