import { describe, expect, test } from "vitest";
import { boundClaim, condition, decideOn, held, kinds } from "../../test/observed-builder.ts";
import { at, ended, podWith } from "../../test/pod-builder.ts";
import { checkpoint } from "../../test/records.ts";
import { type Fields, runWith, specWith } from "../../test/run-builder.ts";

const absent = { kind: "Absent", claimName: "mnist-0123abcd" } as const;
const objectStore = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3" };
const mirrored = { checkpoint: { ...(specWith().checkpoint as Fields), objectStore } };
const twenty = checkpoint(20, 1, "b");
const ten = { ...checkpoint(10, 1, "a"), tiers: ["Volume", "ObjectStore"] };

/** A run between two attempts, with checkpoints on record. */
const recorded = (spec: Fields, checkpoints: readonly Fields[] = [twenty, ten]) =>
  runWith({ metadata: held, spec, status: { attempt: 1, latestVerified: twenty, checkpoints } });

describe("a claim that is gone with checkpoints on it", () => {
  test("ends a run that has them nowhere else (I10)", () => {
    const decision = decideOn({ run: recorded({}), volume: absent });
    expect(kinds(decision)).toEqual([]);
    expect(condition(decision, "Failed")).toMatchObject({ status: "True", reason: "NoVerifiedCheckpoint" });
  });

  test.each([
    ["has some of them", [twenty, ten], "the newest that is known to be in the object store is of step 10"],
    ["is not known to have any", [twenty], "no checkpoint is known to be in the object store"],
  ])(
    "is made anew where an object store %s, and the restore knows what is on record (I10)",
    (_, checkpoints, words) => {
      const decision = decideOn({ run: recorded(mirrored, checkpoints), volume: absent });
      expect(kinds(decision)).toEqual(["CreateClaim", "CreatePod"]);
      expect(decision.events.map(({ reason }) => reason)).toEqual(["VolumeLost", "AttemptStarted"]);
      expect(decision.events[0]?.message).toContain(words);
      const told = JSON.stringify(decision.actions.at(-1));
      expect(told).toContain(twenty.digest);
      expect(told).toContain('\\"noneVerified\\":\\"Fail\\"');
    },
  );

  test("is told of once", () => {
    const first = decideOn({ run: recorded(mirrored), volume: absent });
    const again = decideOn({ run: { ...recorded(mirrored), status: first.status }, volume: absent });
    expect(again.events).toEqual([]);
    expect(kinds(again)).toEqual(["CreateClaim", "CreatePod"]);
  });
});

test.each([
  [mirrored, "bring the volume back, or delete the claim to go on from the object store."],
  [{}, "bring the volume back."],
])("a claim whose volume is gone says what to do", (spec, words) => {
  const decision = decideOn({ run: recorded(spec), volume: { ...boundClaim, phase: "Lost" } });
  expect(condition(decision, "Progressing")).toMatchObject({
    reason: "ClaimLost",
    message: expect.stringContaining(words),
  });
});

test("a run without a volume needs no claim", () => {
  const run = runWith({ spec: { checkpoint: { objectStore } } });
  expect(kinds(decideOn({ run, volume: { kind: "None" } }))).toEqual(["HoldRun", "CreatePod"]);
});

describe("a claim that is being deleted while no attempt lives", () => {
  const over = { number: 1, generation: 1, pods: [{ uid: "pod-1" }], startTime: at(0), endTime: at(100) };
  const crashed = { attempt: 1, attempts: [{ ...over, cause: "Crashed", charge: "Failure" }] };
  const complete = { type: "Complete", status: "True", reason: "TrainingDone", message: "", lastTransitionTime: at(9) };
  const status = { phase: "Failed", containerStatuses: [ended("trainer", 1)] };
  const kept = podWith({ metadata: { finalizers: [] }, status });
  const going = { ...boundClaim, deletionRequested: true };

  test.each([
    ["waits for it to be gone", crashed],
    ["is over", { ...crashed, conditions: [complete] }],
  ])("is held by no pod that was kept for its logs: the run %s", (_when, of) => {
    const run = runWith({ metadata: held, status: of });
    const decision = decideOn({ run, pods: [kept], volume: going });
    expect(decision.actions).toEqual([{ kind: "DeletePod", name: "mnist-1-0", uid: "pod-1" }]);
    expect(kinds(decideOn({ run, pods: [kept] }))).not.toContain("DeletePod");
    const asked = { ...kept, deletionRequestedAt: 1 };
    expect(kinds(decideOn({ run, pods: [asked], volume: going }))).toEqual([]);
  });
});

describe("a claim that a gang only names", () => {
  const begins = (accessModes: readonly string[], checkpoint: Fields, workers = 4) =>
    decideOn({
      run: runWith({ metadata: held, spec: { workers, checkpoint } }),
      volume: { ...boundClaim, claimName: "data", runUid: null, accessModes },
    });
  const named = { volume: { claimName: "data" } };

  test.each<[modes: readonly string[], workers: number]>([
    [["ReadWriteOnce", "ReadWriteMany"], 4],
    [["ReadWriteOnce"], 1],
  ])("does where all workers can have it: %j, %i", (modes, workers) => {
    expect(kinds(begins(modes, named, workers))).toContain("CreatePod");
  });

  test.each<[modes: readonly string[], checkpoint: Fields, words: string]>([
    [
      ["ReadWriteOnce"],
      named,
      "the claim data is ReadWriteOnce, and spec.workers (4) save into it together: name a claim with ReadWriteMany, or write 1.",
    ],
    [["ReadWriteOncePod"], { ...named, objectStore }, "the claim data is ReadWriteOncePod"],
    [[], named, "the claim data is of no known access mode"],
  ])("keeps it from beginning otherwise, and says what to do: %j", (modes, checkpoint, words) => {
    const decision = begins(modes, checkpoint);
    expect(kinds(decision)).toEqual([]);
    expect(condition(decision, "Progressing")).toMatchObject({
      status: "False",
      reason: "ClaimNotShared",
      message: expect.stringContaining(words),
    });
  });
});

test.each([
  ["no volume", { objectStore }],
  ["a volume that one node alone can mount", { ...(specWith().checkpoint as Fields), objectStore }],
])("a gang with %s does not begin: its workers save into one", (_, checkpoint) => {
  const decision = decideOn({ run: runWith({ spec: { workers: 2, checkpoint } }), volume: { kind: "None" } });
  expect(kinds(decision)).toEqual([]);
  expect(condition(decision, "Progressing")).toMatchObject({
    reason: "NotSupported",
    message: expect.stringContaining("write accessModes [ReadWriteMany] in checkpoint.volume.claimTemplate"),
  });
});
