import { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import fc from "fast-check";
import { expect, test } from "vitest";
import { digestOf, podVariables, progressAt, refusedOf, summaryOf } from "../../test/sample.ts";
import { readEnvironment } from "../environment.ts";
import { type Knowledge, nothingKnown } from "./knowledge.ts";
import { agentState, servedRecord } from "./report.ts";

const environment = readEnvironment(AgentEnvironment, podVariables("/trainingrun"));

const text = fc.string({ maxLength: 2000, unit: "binary" });
const knowledge: fc.Arbitrary<Knowledge> = fc.record({
  phase: fc.constantFrom("Restoring" as const, "Serving" as const, "Fenced" as const),
  restored: fc.constant(null),
  shelf: fc.array(
    fc.record({
      summary: fc.nat().map((step) => summaryOf(step)),
      verified: fc.boolean(),
      kept: fc.array(fc.string({ maxLength: 63 }), { maxLength: 20 }),
    }),
    { maxLength: 40, size: "max" },
  ),
  best: fc.option(fc.nat().map((step) => summaryOf(step))),
  refused: fc.array(
    fc.nat().map((step) => refusedOf(step)),
    { maxLength: 40, size: "max" },
  ),
  done: fc.option(fc.constant(digestOf("d"))),
  verificationFailures: fc.nat(),
  problems: fc.array(fc.record({ reason: fc.constant("VolumeFull"), message: text }), { maxLength: 20 }),
});

test("whatever is known, state and record keep the contract's bounds", () => {
  fc.assert(
    fc.property(knowledge, fc.option(fc.nat().map((step) => progressAt(step))), (known, progress) => {
      const state = AgentState.parse(agentState(environment, known, { progress, mirror: null }));
      const newest = known.shelf.find(({ verified }) => verified)?.summary ?? null;
      expect(state.latestVerified).toEqual(newest);
      expect(AgentRecord.parse(servedRecord(environment, known, progress))).toMatchObject({ latestVerified: newest });
    }),
    { numRuns: 100 },
  );
});

const restored: Restored = {
  version: 1,
  run: "run-uid",
  attempt: 1,
  podUid: "pod-1",
  refused: [],
  verifiedBytes: 10,
  seconds: 0.5,
  time: "2030-01-01T12:00:00Z",
  resume: null,
};

test.each<[string, Partial<Knowledge>, Progress | null, object]>([
  ["ended before its restore", {}, null, { resumedFrom: undefined, restoreSeconds: undefined, lastStep: undefined }],
  ["started fresh", { restored }, null, { resumedFrom: null, restoreSeconds: 0.5 }],
  [
    "resumed",
    {
      restored: {
        ...restored,
        resume: { step: 9, attempt: 1, digest: digestOf("9"), tier: "Volume", directory: "/d" },
      },
    },
    progressAt(12),
    { resumedFrom: { step: 9, digest: digestOf("9"), tier: "Volume" }, restoreSeconds: 0.5, lastStep: 12 },
  ],
])("the record of an attempt that %s", (_what, known, progress, expected) => {
  expect(servedRecord(environment, { ...nothingKnown, ...known }, progress)).toEqual({
    kind: "served",
    attempt: 1,
    latestVerified: null,
    best: null,
    done: null,
    refused: [],
    verificationFailures: 0,
    ...expected,
  });
});

test("a save that is stuck is the first of the problems, whenever the volume was last looked at", () => {
  const full = { reason: "VolumeFull", message: "no room" };
  const saves = { ...progressAt(41).saves, inFlight: { step: 40, seconds: 120, bytes: 10 } };
  const known = { ...nothingKnown, problems: [full] };
  const state = agentState(environment, known, { progress: progressAt(41, { saves }), mirror: null });
  expect(state.problems.map(({ reason }) => reason)).toEqual(["SaveStuck", "VolumeFull"]);
  expect(agentState(environment, known, { progress: progressAt(41), mirror: null }).problems).toEqual([full]);
});
