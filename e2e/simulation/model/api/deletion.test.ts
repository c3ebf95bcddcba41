import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { beforeEach, describe, expect, test } from "vitest";
import type { ModelApi } from "./model-api.ts";
import { type Fields, fieldsOf } from "./object.ts";
import { evictPod } from "./pod-requests.ts";
import { type HandClock, refusalOf, runs, team } from "./test/served-api.ts";
import { pod, run, type ServedTeam, servedTeam } from "./test/team-objects.ts";

const merge = "application/merge-patch+json";

let api: ModelApi;
let clock: HandClock;
let makeRun: ServedTeam["makeRun"];
let makePod: ServedTeam["makePod"];
let bind: ServedTeam["bind"];

beforeEach(() => {
  ({ api, clock, makeRun, makePod, bind } = servedTeam());
});

function isThere(target: typeof pod | typeof run): boolean {
  return api.store.get(target.resource, `${team}/${target.name}`) !== undefined;
}

describe("deleting", () => {
  test.each<[string, Fields, string]>([
    ["another uid", { uid: "other" }, "UID"],
    ["another version", { resourceVersion: "1" }, "ResourceVersion"],
  ])("is refused for %s", (_, asked, what) => {
    makeRun();
    const refusal = refusalOf(() => api.remove(run, asked));
    expect(refusal).toMatchObject({ code: 409, reason: "Conflict" });
    expect(refusal.message).toContain(`the ${what} in the precondition`);
  });

  test("takes a run without finalizers at once", () => {
    makeRun();
    expect(api.remove(run).kind).toBe("Gone");
    expect(refusalOf(() => api.get(run)).code).toBe(404);
  });

  test("marks a run with finalizers, once; the last finalizer takes it along", () => {
    const { metadata } = makeRun({ finalizers: ["a/b", "c/d"] });
    const marked = api.remove(run, { uid: metadata.uid }).revision.object.metadata;
    expect(marked).toMatchObject({
      generation: 2,
      deletionGracePeriodSeconds: 0,
      deletionTimestamp: "2026-01-05T12:00:00Z",
    });
    clock.pass(5_000);
    expect(api.remove(run).revision.object.metadata.resourceVersion).toBe(marked.resourceVersion);
    const left = api.patch(run, merge, { metadata: { finalizers: ["c/d"] } }).object.metadata;
    const last = api.patch(run, merge, { metadata: { finalizers: null } }).object.metadata;
    expect(last.resourceVersion).toBe(left.resourceVersion);
    expect(last.finalizers).toBeUndefined();
    expect(isThere(run)).toBe(false);
  });

  test("a pod that no node has goes at once, whatever its grace period", () => {
    makePod();
    const before = api.store.version;
    expect(api.remove(pod, { gracePeriodSeconds: 60 }).kind).toBe("Gone");
    expect(api.store.since(pods, before).map(({ type }) => type)).toEqual(["MODIFIED", "DELETED"]);
  });

  test("a pod that has ended goes at once", () => {
    makePod();
    bind();
    api.patch({ ...pod, subresource: "status" }, merge, { status: { phase: "Failed" } });
    expect(api.remove(pod).kind).toBe("Gone");
  });

  test("a pod of a node waits for its grace period, which can be made shorter, and for the kubelet's last word", () => {
    makePod();
    bind();
    const metadataAfter = (asked: Fields) => api.remove(pod, asked).revision.object.metadata;
    expect(metadataAfter({})).toMatchObject({
      deletionTimestamp: "2026-01-05T12:00:30Z",
      deletionGracePeriodSeconds: 30,
      generation: 2,
    });
    expect(metadataAfter({ gracePeriodSeconds: 40 })).toMatchObject({ deletionGracePeriodSeconds: 30 });
    expect(metadataAfter({ gracePeriodSeconds: 10 })).toMatchObject({
      deletionTimestamp: "2026-01-05T12:00:10Z",
      deletionGracePeriodSeconds: 10,
      generation: 2,
    });
    clock.pass(60_000);
    expect(isThere(pod)).toBe(true);
    expect(api.remove(pod, { gracePeriodSeconds: 0 }).kind).toBe("Gone");
  });

  test("a deletion in the background takes the holds of an earlier one off, and ends the object as it was", () => {
    makeRun();
    expect(api.remove(run, { propagationPolicy: "Foreground" }).revision.object.metadata.finalizers).toEqual([
      "foregroundDeletion",
    ]);
    const before = api.store.version;
    expect(api.remove(run, { propagationPolicy: "Background" }).kind).toBe("Gone");
    expect(api.store.since(runs, before).map(({ type }) => type)).toEqual(["DELETED"]);
  });

  test("a pod with a finalizer stays after the kubelet's last word, until the finalizer is off", () => {
    makePod({ finalizers: ["a/b"] });
    bind();
    api.remove(pod);
    expect(api.remove(pod, { gracePeriodSeconds: 0 }).kind).toBe("Held");
    api.patch(pod, "application/json-patch+json", [
      { op: "test", path: "/metadata/finalizers/0", value: "a/b" },
      { op: "remove", path: "/metadata/finalizers/0" },
    ]);
    expect(isThere(pod)).toBe(false);
  });

  test("a pod whose finalizers are off waits for the kubelet nevertheless", () => {
    makePod({ finalizers: ["a/b"] });
    bind();
    api.remove(pod);
    api.patch(pod, merge, { metadata: { finalizers: [] } });
    expect(isThere(pod)).toBe(true);
  });
});

describe("what pods are told by others than their owner", () => {
  test("a binding gives a pod to a node, once", () => {
    makePod();
    expect(bind()).toMatchObject({
      spec: { nodeName: "node-a" },
      status: { conditions: [{ type: "PodScheduled", status: "True" }] },
      metadata: { generation: 1 },
    });
    expect(refusalOf(bind)).toMatchObject({ code: 409, reason: "Conflict" });
  });

  test("a gate keeps a pod from every node", () => {
    makePod({}, { schedulingGates: [{ name: "g" }] });
    expect(api.get(pod).object.status).toMatchObject({ conditions: [{ reason: "SchedulingGated" }] });
    expect(refusalOf(bind).message).toContain("non-empty .spec.schedulingGates");
    api.patch(pod, merge, { spec: { schedulingGates: null } });
    expect(bind().spec).toMatchObject({ nodeName: "node-a" });
  });

  test("an eviction says so, and deletes with grace", () => {
    makePod();
    bind();
    evictPod(api, { namespace: team, name: "mnist-1-0" }, {}, clock.now());
    const { metadata, status } = api.get(pod).object;
    expect(metadata.deletionGracePeriodSeconds).toBe(30);
    expect(fieldsOf(status).conditions).toContainEqual(
      expect.objectContaining({ type: "DisruptionTarget", status: "True", reason: "EvictionByEvictionAPI" }),
    );
    const other = { deleteOptions: { preconditions: { uid: "other" } } };
    expect(refusalOf(() => evictPod(api, { namespace: team, name: "mnist-1-0" }, other, 0)).code).toBe(409);
  });
});
