import { claims, events, nodes, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { beforeEach, describe, expect, test } from "vitest";
import { specWith } from "../../../../operator/test/run-builder.ts";
import { forbidden, Refusal } from "./answers.ts";
import { coreEvents, leases, namespaces } from "./built-in-kinds.ts";
import type { ModelApi } from "./model-api.ts";
import { type Fields, fieldsOf } from "./object.ts";
import { type HandClock, named, refusalOf, runs, servedApi, team } from "./test/served-api.ts";
import { pod, run, type ServedTeam, servedTeam } from "./test/team-objects.ts";

const merge = "application/merge-patch+json";
const inTeam = (resource: typeof pods | typeof claims | typeof runs) => ({ resource, namespace: team });

let api: ModelApi;
let clock: HandClock;
let makeRun: ServedTeam["makeRun"];
let makePod: ServedTeam["makePod"];
let bind: ServedTeam["bind"];

beforeEach(() => {
  ({ api, clock, makeRun, makePod, bind } = servedTeam());
});

describe("one counter of versions", () => {
  test("every write has a version of its own, in the order of the writes", () => {
    const versions = [makeRun(), makePod(), bind()].map(({ metadata }) => Number(metadata.resourceVersion));
    expect(versions).toEqual([versions[0], (versions[0] ?? 0) + 1, (versions[0] ?? 0) + 2]);
    expect(api.store.version).toBe(versions[2]);
  });

  test.each<[string, unknown]>([
    ["a patch of nothing", {}],
    ["a patch that says what is so", { metadata: { labels: { a: "1" } }, spec: { suspend: false } }],
    ["an empty map where nothing was", { metadata: { annotations: {} } }],
  ])("%s is no write", (_, patch) => {
    const before = makeRun({ labels: { a: "1" } });
    expect(api.patch(run, merge, patch).object).toBe(api.get(run).object);
    expect(api.get(run).object.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  });
});

describe("creating", () => {
  test("fills in what the server says: uid, version, time in whole seconds, generation", () => {
    clock.pass(1_234);
    const { metadata } = makeRun({ uid: "mine", generation: 7, deletionTimestamp: "2026-01-01T00:00:00Z" });
    expect(metadata).toEqual({
      name: "mnist",
      namespace: team,
      uid: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/),
      resourceVersion: String(api.store.version),
      generation: 1,
      creationTimestamp: "2026-01-05T12:00:01Z",
    });
  });

  test("takes no status with a run, and gives a pod one", () => {
    const object = { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", metadata: { name: "b" } };
    const status = { state: "Running" };
    expect(api.create(inTeam(runs), { ...object, spec: specWith(), status }).object).not.toHaveProperty("status");
    expect(makePod()).toMatchObject({ status: { phase: "Pending" }, spec: { terminationGracePeriodSeconds: 30 } });
  });

  test("gives a claim the finalizer that protects it", () => {
    const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    const claim = api.create(inTeam(claims), { metadata: { name: "c" }, spec }).object;
    expect(claim.metadata.finalizers).toEqual(["kubernetes.io/pvc-protection"]);
    expect(claim.status).toEqual({ phase: "Pending" });
  });

  test("draws the end of a generated name", () => {
    const made = [1, 2].map(() => makePod({ name: "", generateName: "p-" }).metadata.name);
    expect(made).toEqual([expect.stringMatching(/^p-.{5}$/), expect.stringMatching(/^p-.{5}$/)]);
    expect(made[0]).not.toBe(made[1]);
  });

  test.each<[string, () => unknown, number, string, string]>([
    ["a name that is taken", () => makeRun() && makeRun(), 409, "AlreadyExists", '"mnist" already exists'],
    [
      "in a namespace that is not there",
      () => api.create({ resource: pods, namespace: "gone" }, { metadata: { name: "p" } }),
      404,
      "NotFound",
      'namespaces "gone" not found',
    ],
    [
      "with a bad name",
      () => makePod({ name: "Not A Name" }),
      422,
      "Invalid",
      'Pod "Not A Name" is invalid: metadata.name',
    ],
    ["with a bad label", () => makePod({ labels: { a: "!" } }), 422, "Invalid", "metadata.labels"],
    ["with a version", () => makePod({ resourceVersion: "1" }), 500, "", "should not be set"],
    ["with labels that are no texts", () => makePod({ labels: { a: 1 } }), 400, "BadRequest", "metadata.labels.a"],
    ["without containers", () => makePod({}, { containers: [] }), 422, "Invalid", "spec.containers: Required value"],
    [
      "of another kind than the path says",
      () => api.create(inTeam(pods), { kind: "Node", metadata: { name: "p" } }),
      400,
      "BadRequest",
      "Node in v1",
    ],
    [
      "for another namespace than the path says",
      () => makePod({ namespace: "other" }),
      400,
      "BadRequest",
      "does not match the namespace",
    ],
  ])("is refused: %s", (_, act, code, reason, words) => {
    const refusal = refusalOf(act);
    expect(refusal).toMatchObject({ code, reason });
    expect(refusal.message).toContain(words);
  });

  test("is refused by the admission of the simulation, and by a namespace that is about to go", () => {
    const why = "exceeded quota: few, requested: pods=1, used: pods=2, limited: pods=2";
    const strict = servedApi({
      admit: ({ verb, resource, object }) => {
        if (verb === "CREATE" && resource.plural === "pods") throw forbidden(resource, object.metadata.name, why);
      },
    });
    const spec = { containers: [{ name: "trainer" }] };
    const body = { metadata: { name: "p" }, spec };
    expect(refusalOf(() => strict.api.create(inTeam(pods), body)).message).toBe(`pods "p" is forbidden: ${why}`);
    api.remove({ resource: namespaces, name: team });
    expect(refusalOf(() => makePod())).toMatchObject({
      code: 403,
      message: `pods "mnist-1-0" is forbidden: unable to create new content in namespace ${team} because it is being terminated`,
      about: { causes: [{ reason: "NamespaceTerminating", field: "metadata.namespace" }] },
    });
  });
});

describe("changing", () => {
  test.each<[string, Fields, number]>([
    ["the spec", { spec: { suspend: true } }, 2],
    ["labels", { metadata: { labels: { a: "1" } } }, 1],
    ["what is pruned", { spec: { unknown: 1 } }, 1],
    ["the generation itself", { metadata: { generation: 9 } }, 1],
  ])("%s moves the generation to what it must be", (_, patch, generation) => {
    makeRun();
    expect(api.patch(run, merge, patch).object.metadata.generation).toBe(generation);
  });

  test("the status alone by its subresource, and all but the status by the other", () => {
    makeRun();
    const both = {
      metadata: { labels: { a: "1" }, uid: "ignored" },
      spec: { suspend: true },
      status: { state: "Running" },
    };
    const byStatus = api.patch({ ...run, subresource: "status" }, merge, both).object;
    expect(byStatus).toMatchObject({
      status: { state: "Running" },
      spec: { suspend: false },
      metadata: { generation: 1 },
    });
    expect(byStatus.metadata.labels).toBeUndefined();
    const byMain = api.patch(run, merge, {
      ...both,
      metadata: { labels: { a: "1" } },
      status: { state: "Saving" },
    }).object;
    expect(byMain).toMatchObject({
      status: { state: "Running" },
      spec: { suspend: true },
      metadata: { labels: { a: "1" } },
    });
  });

  test("a pod's finalizers by its status, but not its owners and its spec", () => {
    const owner = { apiVersion: "v1", kind: "Node", name: "n", uid: "u" };
    makePod({ ownerReferences: [owner] });
    const patch = {
      metadata: { finalizers: ["a/b"], ownerReferences: null },
      spec: { nodeName: "x" },
      status: { phase: "Running" },
    };
    const { metadata, spec, status } = api.patch({ ...pod, subresource: "status" }, merge, patch).object;
    expect(metadata).toMatchObject({ finalizers: ["a/b"], ownerReferences: [owner] });
    expect(fieldsOf(spec).nodeName).toBeUndefined();
    expect(status).toMatchObject({ phase: "Running" });
  });

  const stale = { metadata: { resourceVersion: "1" } };
  test.each<[string, () => unknown, number, string, string]>([
    [
      "an old version",
      () => api.patch(run, merge, { ...stale, spec: { suspend: true } }),
      409,
      "Conflict",
      "has been modified",
    ],
    [
      "an old version, in its status",
      () => api.patch({ ...run, subresource: "status" }, merge, stale),
      409,
      "Conflict",
      "modified",
    ],
    ["another uid", () => api.patch(run, merge, { metadata: { uid: "x" } }), 422, "Invalid", "metadata.uid"],
    ["another name", () => api.patch(run, merge, { metadata: { name: "x" } }), 422, "Invalid", "metadata.name"],
    [
      "another uid, by an update",
      () => api.update(run, { ...api.get(run).object, metadata: { name: "mnist", uid: "x" } }),
      409,
      "Conflict",
      "Precondition failed: UID",
    ],
    [
      "no version, by an update",
      () => api.update(run, { ...api.get(run).object, metadata: { name: "mnist" } }),
      422,
      "Invalid",
      "metadata.resourceVersion",
    ],
    ["what is not there", () => api.patch(named(runs, "other"), merge, {}), 404, "NotFound", '"other" not found'],
    [
      "a status of a bad word",
      () => api.patch({ ...run, subresource: "status" }, merge, { status: { state: "Odd" } }),
      422,
      "Invalid",
      "status.state: Unsupported value",
    ],
    [
      "a new finalizer on what is being deleted",
      () => {
        api.remove(run);
        api.patch(run, merge, { metadata: { finalizers: ["a/b", "c/d"] } });
      },
      422,
      "Invalid",
      "metadata.finalizers: Forbidden",
    ],
  ])("is refused for %s", (_, act, code, reason, words) => {
    makeRun({ finalizers: ["a/b"] });
    const refusal = refusalOf(act);
    expect(refusal).toMatchObject({ code, reason });
    expect(refusal.message).toContain(words);
  });

  test("a pod's spec is refused, but for what may change", () => {
    makePod();
    expect(refusalOf(() => api.patch(pod, merge, { spec: { nodeName: "b" } })).about.causes).toMatchObject([
      { field: "spec" },
    ]);
    expect(api.patch(pod, merge, { spec: { activeDeadlineSeconds: 5 } }).object.metadata.generation).toBe(2);
  });

  test("a claim's spec is refused, but for its size and for the volume that it is given once", () => {
    const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    api.create(inTeam(claims), { metadata: { name: "c" }, spec });
    const claim = named(claims, "c");
    api.patch(claim, merge, { spec: { volumeName: "pv-1", resources: { requests: { storage: "2Gi" } } } });
    const other = { spec: { volumeName: "pv-2" } };
    expect(refusalOf(() => api.patch(claim, merge, other)).about.causes).toMatchObject([{ field: "spec" }]);
    const modes = { spec: { accessModes: ["ReadWriteMany"] } };
    expect(refusalOf(() => api.patch(claim, merge, modes))).toMatchObject({ code: 422, reason: "Invalid" });
  });

  test("a lease is made by an update, and held by its version", () => {
    const lease = named(leases, "operator");
    const spec = { holderIdentity: "a", leaseDurationSeconds: 15, renewTime: "2026-01-05T12:00:00.000000Z" };
    const made = api.update(lease, { metadata: { name: "operator" }, spec }).object;
    const taken = { ...made, spec: { ...spec, holderIdentity: "b" } };
    expect(api.update(lease, taken).object.spec).toMatchObject({ holderIdentity: "b" });
    expect(refusalOf(() => api.update(lease, taken))).toMatchObject({ code: 409, reason: "Conflict" });
    const coarse = { spec: { renewTime: "2026-01-05T12:00:00Z" } };
    expect(refusalOf(() => api.patch(lease, merge, coarse)).code).toBe(400);
    expect(refusalOf(() => api.patch(lease, merge, { spec: { leaseDurationSeconds: 0 } })).code).toBe(422);
  });
});

describe("events", () => {
  const regarding = { kind: "Pod", name: "p", namespace: team, uid: "u" };

  test("are found by what they are about, in whichever form they were made", () => {
    const at = { resource: events, namespace: team };
    const eventTime = "2026-01-05T12:00:00.000000Z";
    api.create(at, { metadata: { name: "new" }, eventTime, regarding, note: "n", reason: "R", type: "Normal" });
    const old = {
      involvedObject: regarding,
      message: "old words",
      lastTimestamp: "2026-01-05T12:00:00Z",
      type: "Warning",
    };
    api.create({ resource: coreEvents, namespace: team }, { metadata: { name: "old" }, ...old });
    const { revisions } = api.list(at, { fieldSelector: "regarding.uid=u", limit: "50" });
    expect(revisions.map(({ object }) => object.note)).toEqual(["n", "old words"]);
  });

  test.each<[string, Fields, number]>([
    ["without a time", {}, 422],
    ["with a time in seconds", { eventTime: "2026-01-05T12:00:00Z" }, 400],
  ])("are refused %s", (_, fields, code) => {
    const body = { metadata: { name: "e" }, regarding, ...fields };
    expect(refusalOf(() => api.create({ resource: events, namespace: team }, body)).code).toBe(code);
  });
});

test("a node has no namespace, and no spec by its status", () => {
  api.create({ resource: nodes }, { metadata: { name: "node-a" } });
  const at = { resource: nodes, name: "node-a" };
  const conditions = [{ type: "Ready", status: "True" }];
  const patch = { spec: { unschedulable: true }, status: { conditions } };
  expect(api.patch({ ...at, subresource: "status" }, merge, patch).object).toMatchObject({ status: { conditions } });
  expect(api.get(at).object.spec).toBeUndefined();
});

test("what counts no generations takes none from a write", () => {
  api.create({ resource: nodes }, { metadata: { name: "node-a", generation: 3 } });
  const at = { resource: nodes, name: "node-a" };
  expect(api.patch(at, merge, { metadata: { generation: 40 } }).object.metadata.generation).toBeUndefined();
});

test("what is not served is not found", () => {
  const odd = { group: "example.com", version: "v1", plural: "odds", kind: "Odd", scope: "Cluster" } as const;
  expect(() => api.list({ resource: odd })).toThrow(Refusal);
});
