import { describe, expect, test } from "vitest";
import { boundClaim, condition, decideOn, held, kinds, living, observedWith } from "../../test/observed-builder.ts";
import { podWith, running } from "../../test/pod-builder.ts";
import { type Fields, runUid, runWith, start } from "../../test/run-builder.ts";
import { settings } from "../../test/world.ts";
import { creations } from "./creation.ts";
import type { CreateRefusal, ObservedPod } from "./observed.ts";

const volume = { claimTemplate: { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } } };
const spec = { workers: 3, checkpoint: { volume } };
const sharedClaim = { ...boundClaim, accessModes: ["ReadWriteMany"] } as const;
const gang = (pods: Fields[]) => living({ spec, entry: { workers: 3, pods } });

/** The pod of a worker, as it begins. */
function podOf(worker: number, uid = `pod-${worker}`): ObservedPod {
  const labels = { "trainingrun.dev/attempt": "1", "trainingrun.dev/worker": `${worker}` };
  const status = { containerStatuses: [running("trainer")], initContainerStatuses: [running("agent")] };
  return podWith({ metadata: { name: `mnist-1-${worker}`, uid, labels }, status });
}
const recorded = (worker: number) => ({ uid: `pod-${worker}`, worker, node: "node-a" });

describe("a gang of which only some pods have come to be", () => {
  test("records those that come later beside the others, and deletes none as a stranger", () => {
    const pods = [podOf(0), podOf(1), podOf(2)];
    const decision = decideOn({ run: gang([recorded(0), recorded(2)]), pods, service: "Present" });
    expect(decision.status.attempts?.[0]?.pods).toEqual([recorded(0), recorded(2), recorded(1)]);
    expect(decision.actions).toEqual([]);
  });

  test("is given the pods that it never had, and no other", () => {
    const decision = decideOn({ run: gang([recorded(1)]), pods: [podOf(1)], service: "Present" });
    expect(decision.actions).toMatchObject([
      { kind: "CreatePod", worker: 0, manifest: { metadata: { name: "mnist-1-0" } } },
      { kind: "CreatePod", worker: 2, manifest: { metadata: { name: "mnist-1-2" } } },
    ]);
    expect(condition(decision, "Progressing")).toMatchObject({
      status: "False",
      reason: "GangIncomplete",
      message: "Attempt 1 waits for the pods of its workers 0, 2.",
    });
  });

  test("says which pod the API server will not have, and keeps those that it has", () => {
    const refusal: CreateRefusal = {
      ...{ kind: "Pod", name: "mnist-1-2", status: 403, reason: "Forbidden", message: "exceeded quota: gpus" },
      ...{ at: start + 59_000, firstAt: start, inVainSince: start + 59_000, generation: 1 },
    };
    const run = gang([recorded(0), recorded(1)]);
    const decision = decideOn({ run, pods: [podOf(0), podOf(1)], refusals: [refusal] });
    expect(condition(decision, "Progressing")).toMatchObject({ status: "False", reason: "QuotaExceeded" });
    expect(kinds(decision)).toEqual([]);
    expect(decision.requeueAfterMs).toBeGreaterThan(10_000);
    expect(decision.requeueAfterMs).toBeLessThanOrEqual(14_000);
  });

  test("never has a second pod for a worker whose first is gone", () => {
    const run = gang([recorded(0), recorded(1), recorded(2)]);
    const decision = decideOn({ run, pods: [podOf(0), podOf(2)], gone: ["pod-1"] });
    expect(kinds(decision)).not.toContain("CreatePod");
    const twin = decideOn({ run, pods: [podOf(0), podOf(2), podOf(1, "pod-9")], gone: ["pod-1"] });
    expect(twin.actions.map((action) => (action.kind === "DeletePod" ? action.uid : action.kind)).toSorted()).toEqual([
      "pod-0",
      "pod-2",
      "pod-9",
    ]);
  });

  test("is given one pod for each worker as it begins", () => {
    const run = gang([]);
    const [entry] = run.status.attempts ?? [];
    if (entry === undefined) throw new Error("The run of the test has an attempt");
    const made = creations(observedWith({ run }), { status: run.status, entry, settings });
    const names = made.map((action) => (action.kind === "CreatePod" ? action.worker : action.kind));
    expect(names).toEqual(["CreateService", 0, 1, 2]);
  });

  test("is as large as it was when it began, whatever is edited", () => {
    const run = living({ spec: { ...spec, workers: 1 }, entry: { workers: 3, pods: [recorded(0), recorded(1)] } });
    const [creation] = decideOn({ run, pods: [podOf(0), podOf(1)], service: "Present" }).actions;
    expect(creation).toMatchObject({ kind: "CreatePod", worker: 2 });
    expect(JSON.stringify(creation)).toContain('{"name":"WORLD_SIZE","value":"3"}');
  });
});

describe("the Service of a gang", () => {
  const pods = [podOf(0), podOf(1), podOf(2)];
  const run = gang([recorded(0), recorded(1), recorded(2)]);
  const refused = (at: number): CreateRefusal => ({
    ...{
      kind: "Service",
      name: "mnist",
      status: 409,
      reason: "AlreadyExists",
      message: "another object has that name",
    },
    ...{ at, firstAt: start, inVainSince: at, generation: 1 },
  });

  test("gives every pod a name before it is ready, has no address of its own, and goes with the run", () => {
    const [service, ...rest] = decideOn({ run: runWith({ metadata: held, spec }), volume: sharedClaim }).actions;
    expect(rest.map(({ kind }) => kind)).toEqual(["CreatePod", "CreatePod", "CreatePod"]);
    if (service?.kind !== "CreateService") throw new Error("The Service comes before the pods");
    expect(service.manifest).toMatchObject({
      kind: "Service",
      metadata: {
        name: "mnist",
        namespace: "team",
        ownerReferences: [{ kind: "TrainingRun", name: "mnist", uid: runUid, controller: true }],
      },
      spec: { clusterIP: "None", publishNotReadyAddresses: true, selector: { "trainingrun.dev/run-uid": runUid } },
    });
    const [pod] = rest;
    const made = JSON.stringify(pod);
    expect(made).toContain('"hostname":"mnist-1-0","subdomain":"mnist"');
    expect(made).toContain('{"name":"MASTER_ADDR","value":"mnist-1-0.mnist"}');
    expect(made).toContain(`"trainingrun.dev/run-uid":"${runUid}"`);
  });

  test("is made again where somebody deleted it, and the gang goes on", () => {
    const decision = decideOn({ run, pods, service: "Absent" });
    expect([kinds(decision), decision.status.stop]).toEqual([["CreateService"], undefined]);
    expect(kinds(decideOn({ run, pods, service: "Present" }))).toEqual([]);
    expect(kinds(decideOn({ run, pods }))).toEqual([]);
  });

  test("that the API server will not have is told of beside how the gang fares, and tried again in time", () => {
    const early = decideOn({ run, pods, service: "Absent", refusals: [refused(start + 50_000)] });
    expect(kinds(early)).toEqual([]);
    expect(early.requeueAfterMs).toBeGreaterThan(1_000);
    expect(early.requeueAfterMs).toBeLessThanOrEqual(5_000);
    expect(condition(early, "Progressing")?.message).toMatch(
      /Cannot create the service mnist because .* another object has that name Without it, workers that begin/,
    );
    const later = decideOn({ run, pods, service: "Absent", refusals: [refused(start + 45_000)] });
    expect(kinds(later)).toEqual(["CreateService"]);
  });

  test("keeps a gang from beginning without it", () => {
    const decision = decideOn({ run: gang([]), service: "Absent", refusals: [refused(start + 50_000)] });
    expect(kinds(decision)).toEqual([]);
    expect(condition(decision, "Progressing")).toMatchObject({
      reason: "CreationRefused",
      message: expect.stringContaining("the service mnist"),
    });
  });

  test("is none of a run with one worker", () => {
    expect(kinds(decideOn({ run: runWith({ metadata: held }) }))).toEqual(["CreatePod"]);
  });
});
