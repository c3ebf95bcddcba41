import { describe, expect, test } from "vitest";
import { condition, decideOn, kinds, living, observedWith } from "../../test/observed-builder.ts";
import { podWith, running } from "../../test/pod-builder.ts";
import { type Fields, start } from "../../test/run-builder.ts";
import { settings } from "../../test/world.ts";
import { creations } from "./creation.ts";
import type { CreateRefusal, ObservedPod } from "./observed.ts";

const volume = { claimTemplate: { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } } };
const spec = { workers: 3, checkpoint: { volume } };
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
    const decision = decideOn({ run: gang([recorded(0), recorded(2)]), pods: [podOf(0), podOf(1), podOf(2)] });
    expect(decision.status.attempts?.[0]?.pods).toEqual([recorded(0), recorded(2), recorded(1)]);
    expect(decision.actions).toEqual([]);
  });

  test("is given the pods that it never had, and no other", () => {
    const decision = decideOn({ run: gang([recorded(1)]), pods: [podOf(1)] });
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
      ...{ at: start + 59_000, firstAt: start },
    };
    const run = gang([recorded(0), recorded(1)]);
    const decision = decideOn({ run, pods: [podOf(0), podOf(1)], refusals: [refusal] });
    expect(condition(decision, "Progressing")).toMatchObject({ status: "False", reason: "QuotaExceeded" });
    expect([kinds(decision), decision.requeueAfterMs]).toEqual([[], 14_000]);
  });

  test("never has a second pod for a worker whose first is gone", () => {
    const run = gang([recorded(0), recorded(1), recorded(2)]);
    const decision = decideOn({ run, pods: [podOf(0), podOf(2)], gone: ["pod-1"] });
    expect(kinds(decision)).not.toContain("CreatePod");
    const twin = decideOn({ run, pods: [podOf(0), podOf(2), podOf(1, "pod-9")], gone: ["pod-1"] });
    expect(twin.actions).toMatchObject([{ kind: "DeletePod", uid: "pod-9" }]);
  });

  test("is given one pod for each worker as it begins", () => {
    const run = gang([]);
    const [entry] = run.status.attempts ?? [];
    if (entry === undefined) throw new Error("The run of the test has an attempt");
    const made = creations(observedWith({ run }), { status: run.status, entry, settings });
    expect(made.map((action) => (action.kind === "CreatePod" ? action.worker : action.kind))).toEqual([0, 1, 2]);
  });

  test("is as large as it was when it began, whatever is edited", () => {
    const run = living({ spec: { ...spec, workers: 1 }, entry: { workers: 3, pods: [recorded(0), recorded(1)] } });
    const [creation] = decideOn({ run, pods: [podOf(0), podOf(1)] }).actions;
    expect(creation).toMatchObject({ kind: "CreatePod", worker: 2 });
    expect(JSON.stringify(creation)).toContain('{"name":"WORLD_SIZE","value":"3"}');
  });
});
