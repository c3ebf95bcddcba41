import { describe, expect, test } from "vitest";
import { gang, workerPod } from "../../test/gang-builder.ts";
import { boundClaim, condition, decideOn, held, kinds, living } from "../../test/observed-builder.ts";
import { at, ended, podWith, running } from "../../test/pod-builder.ts";
import { answer, mirror } from "../../test/records.ts";
import { type Fields, runUid, runWith, specWith, start } from "../../test/run-builder.ts";

const training = podWith({
  status: { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] },
});
const crashed = podWith({
  status: {
    phase: "Failed",
    containerStatuses: [ended("trainer", 1)],
    initContainerStatuses: [ended("agent", 0)],
  },
});
const label = "trainingrun.dev/run";

describe("a recorded pod that somebody changed by hand", () => {
  const relabelled = { ...training, altered: [label] };

  test("is what it was, is put back, and the run says so, once in an event", () => {
    const decision = decideOn({ run: living(), pods: [relabelled] });
    const words = `Somebody changed the label ${label} of the pod mnist-1-0; it is put back, and no other attempt follows this one before.`;
    expect(decision.actions).toMatchObject([
      {
        kind: "MendPod",
        name: "mnist-1-0",
        uid: "pod-1",
        labels: { [label]: "mnist", "trainingrun.dev/run-uid": runUid, "trainingrun.dev/attempt": "1" },
        owner: { kind: "TrainingRun", uid: runUid, controller: true },
      },
    ]);
    expect(condition(decision, "Progressing")?.message).toMatch(new RegExp(`Attempt 1 .*\\. ${words}$`));
    expect(decision.events).toEqual([{ type: "Warning", reason: "PodAltered", message: words }]);
    const again = decideOn({ run: living({ status: decision.status as Fields }), pods: [relabelled] });
    expect([again.events, again.status]).toEqual([[], decision.status]);
    const mended = decideOn({ run: living({ status: decision.status as Fields }), pods: [training] });
    expect([mended.actions, condition(mended, "Progressing")?.message]).not.toContain("Somebody");
  });

  test("that has another owner now is left to it, and the run says what to do", () => {
    const taken = { ...training, ownerUid: "their-uid", altered: ["ownerReferences"] };
    const decision = decideOn({ run: living(), pods: [taken] });
    expect(decision.actions).toEqual([]);
    expect(condition(decision, "Progressing")?.message).toContain(
      "Somebody made the object with uid their-uid the owner of the pod mnist-1-0: take that out of its ownerReferences.",
    );
    expect(decision.status.attempts).toMatchObject([{ number: 1, pods: [{ uid: "pod-1" }] }]);
  });

  test.each([
    ["label", { ...crashed, altered: [label] }],
    ["owner", { ...crashed, ownerUid: null, altered: ["ownerReferences"] }],
  ])("is not counted before its %s stands again, or nobody would let it go", (_what, pod) => {
    const early = decideOn({ run: living(), pods: [pod], now: start + 101_000 });
    expect(kinds(early)).toEqual(["MendPod"]);
    expect(early.status.attempts?.[0]).not.toHaveProperty("endTime");
    const run = living({ status: early.status as Fields });
    const late = decideOn({ run, pods: [crashed], now: start + 102_000 });
    expect(late.status.attempts).toMatchObject([{ number: 1, cause: "Crashed" }]);
    expect(kinds(late)).toEqual(["ReleasePod"]);
  });

  test("of a deleted run is asked to stop and put back, and let go in time although nobody could", () => {
    const status = { stop: { attempt: 1, cause: "RunDeleted", time: at(60) } };
    const run = living({ status, metadata: { deletionTimestamp: at(60) } });
    expect(kinds(decideOn({ run, pods: [relabelled] }))).toEqual(["DeletePod", "MendPod"]);
    const late = decideOn({ run, pods: [relabelled], now: start + 200_000 });
    expect(kinds(late)).toEqual(["DeletePod", "ReleasePod", "ReleaseRun"]);
  });

  test("of a run that is deleted before it was on record is stopped all the same, though nobody owns it", () => {
    const orphan = { ...training, ownerUid: null, altered: ["ownerReferences"] };
    const run = living({ entry: { pods: [] }, metadata: { deletionTimestamp: at(60) } });
    const decision = decideOn({ run, pods: [orphan] });
    expect(kinds(decision)).toEqual(["DeletePod", "MendPod"]);
    expect(decision.status).toMatchObject({
      stop: { attempt: 1, cause: "RunDeleted" },
      attempts: [{ number: 1, pods: [{ uid: "pod-1" }] }],
    });
    const foreign = { ...training, ownerUid: null, altered: ["ownerReferences", label] };
    expect(kinds(decideOn({ run, pods: [foreign] }))).toEqual(["ReleaseRun"]);
  });

  test("of a gang in a queue has back what the queue knows it by", () => {
    const queue = { name: "gpus", group: "mnist-0123abcd-1" };
    const placed = { queue: queue.name, queueGroup: queue.group };
    const pods = [{ ...workerPod(0), altered: [label] }, workerPod(1), workerPod(2)];
    const decision = decideOn({ run: gang({ entry: { queue } }), pods, service: "Present" });
    expect(decision.actions).toMatchObject([
      {
        kind: "MendPod",
        labels: { [label]: "mnist" },
        queue: {
          labels: { "kueue.x-k8s.io/queue-name": "gpus", "kueue.x-k8s.io/pod-group-name": queue.group },
          annotations: { "kueue.x-k8s.io/pod-group-total-count": "3" },
        },
      },
    ]);
    const unkept = [pods[0], { ...workerPod(1), ...placed }, workerPod(2)].flatMap((pod) => pod ?? []);
    const found = decideOn({ run: gang(), pods: unkept, service: "Present" });
    expect(found.actions).toMatchObject([{ queue: { labels: { "kueue.x-k8s.io/pod-group-name": queue.group } } }]);
  });

  test("does not lift the attempt's number to what somebody wrote on a pod that is not named so", () => {
    const labels = { "trainingrun.dev/attempt": "999999999", "trainingrun.dev/worker": "0" };
    const stranger = podWith({ metadata: { name: "mnist-1-0", uid: "pod-9", labels } });
    expect(decideOn({ run: runWith({ metadata: held }), pods: [stranger] }).status.attempt).toBeLessThan(3);
  });
});

describe("a run whose own finalizer somebody took off", () => {
  const past = {
    number: 1,
    generation: 1,
    pods: [{ uid: "pod-1" }],
    startTime: at(0),
    endTime: at(9),
    cause: "Drained",
  };
  const ledger = { attempt: 1, attempts: [{ ...past, charge: "Disruption" }] };
  const complete = [
    { type: "Complete", status: "True", reason: "TrainingDone", message: "", lastTransitionTime: at(9) },
  ];

  test.each([
    ["while an attempt lives", living({ metadata: { finalizers: [] } }), [training]],
    ["while it is suspended", runWith({ spec: { suspend: true }, status: ledger }), []],
    ["after its end", runWith({ status: { ...ledger, conditions: complete } }), []],
  ])("has it back: %s", (_when, run, pods) => {
    const decision = decideOn({ run, pods });
    expect(kinds(decision)).toEqual(["HoldRun"]);
    expect(decision.events.map(({ reason }) => reason)).toContain("FinalizerMissing");
  });

  test("has it back once, and first, where an attempt begins", () => {
    expect(kinds(decideOn({ run: runWith({ status: ledger }) }))).toEqual(["HoldRun", "CreatePod"]);
  });

  test("has none before its first attempt, nor once it is being deleted", () => {
    expect(kinds(decideOn({ run: runWith({ spec: { suspend: true } }) }))).toEqual([]);
    const deleted = runWith({ metadata: { deletionTimestamp: at(20), finalizers: ["else"] }, status: ledger });
    expect(kinds(decideOn({ run: deleted }))).toEqual([]);
  });
});

describe("a claim that is being deleted under a run", () => {
  const going = { ...boundClaim, deletionRequested: true };
  const objectStore = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3" };
  const mirrored = { checkpoint: { ...(specWith().checkpoint as Fields), objectStore } };

  test.each([
    ["without an object store", {}, "Copy what you need from the running pod before that."],
    ["with one", mirrored, "What is in the object store stays, and the run goes on from there."],
  ])("is told while there is time to act, and once in an event: %s", (_what, spec, advice) => {
    const report = { podUid: "pod-1", receivedAt: start, state: answer({ mirror: mirror() }) };
    const seen = { run: living({ spec }), pods: [training], volume: going, reports: [report] };
    const decision = decideOn(seen);
    const message = `The claim mnist-0123abcd is being deleted, and goes with all checkpoints on it as soon as no pod uses it. ${advice}`;
    expect(condition(decision, "CheckpointsHealthy")).toMatchObject({ status: "False", reason: "ClaimTerminating" });
    expect(condition(decision, "CheckpointsHealthy")?.message).toContain(message);
    expect(decision.events).toContainEqual({ type: "Warning", reason: "ClaimTerminating", message });
    expect(decision.actions).toEqual([]);
    const again = decideOn({ ...seen, run: living({ spec, status: decision.status as Fields }) });
    expect(again.events.map(({ reason }) => reason)).not.toContain("ClaimTerminating");
  });

  test("is no matter of a run that goes itself", () => {
    const run = living({ metadata: { deletionTimestamp: at(50) } });
    expect(condition(decideOn({ run, pods: [training], volume: going }), "CheckpointsHealthy")).toBeUndefined();
  });
});
