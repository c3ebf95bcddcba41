import { claims, pods, type Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import { beforeEach, describe, expect, test } from "vitest";
import { forbidden } from "./answers.ts";
import { namespaces } from "./built-in-kinds.ts";
import { ClaimProtection } from "./claim-protection.ts";
import { Collector } from "./collector.ts";
import type { ModelApi } from "./model-api.ts";
import { NamespaceEnd } from "./namespace-end.ts";
import type { Fields, StoredObject } from "./object.ts";
import { bindPod } from "./pod-requests.ts";
import { type HandClock, named, refusalOf, servedApi, team } from "./test/served-api.ts";

const merge = "application/merge-patch+json";
const configMaps = { group: "", version: "v1", plural: "configmaps", kind: "ConfigMap", scope: "Namespaced" } as const;
let api: ModelApi;
let clock: HandClock;
let isAdmitted: boolean;

beforeEach(() => {
  isAdmitted = true;
  ({ api, clock } = servedApi({
    admit: ({ verb, resource, object }) => {
      if (verb === "DELETE" && !isAdmitted) throw forbidden(resource, object.metadata.name, "not now");
    },
  }));
  const options = { defer: clock.defer, delayMs: () => 10 };
  new Collector(api, options);
  new ClaimProtection(api, options);
  new NamespaceEnd(api, options);
});

function make(name: string, owners: readonly StoredObject[] = [], metadata: Fields = {}): StoredObject {
  const ownerReferences = owners.map(({ metadata: { name: own, uid } }) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    name: own,
    uid,
    blockOwnerDeletion: true,
  }));
  return api.create({ resource: configMaps, namespace: team }, { metadata: { name, ownerReferences, ...metadata } })
    .object;
}

function there(resource: Resource = configMaps): readonly string[] {
  return api.list({ resource, namespace: team }).revisions.map(({ object }) => object.metadata.name);
}

describe("the garbage collector", () => {
  test("removes what a deleted owner leaves, down to the last", () => {
    const owner = make("owner");
    const child = make("child", [owner]);
    make("grandchild", [child]);
    make("other");
    api.remove(named(configMaps, "owner"));
    clock.pass(5);
    expect(there()).toEqual(["child", "grandchild", "other"]);
    clock.pass(100);
    expect(there()).toEqual(["other"]);
  });

  test("goes by uids: an owner made anew under the name owns nothing of the old one's", () => {
    make("child", [make("owner")]);
    api.remove(named(configMaps, "owner"));
    make("owner");
    clock.pass(100);
    expect(there()).toEqual(["owner"]);
  });

  test("removes what is made for an owner that is gone already", () => {
    const owner = make("owner");
    api.remove(named(configMaps, "owner"));
    make("late", [owner]);
    clock.pass(100);
    expect(there()).toEqual([]);
  });

  test("leaves what another owner still has, and takes the reference off", () => {
    const [first, second] = [make("first"), make("second")];
    make("child", [first, second]);
    api.remove(named(configMaps, "first"));
    clock.pass(100);
    expect(there()).toEqual(["child", "second"]);
    const { ownerReferences } = api.get(named(configMaps, "child")).object.metadata;
    expect(ownerReferences?.map(({ uid }) => uid)).toEqual([second.metadata.uid]);
  });

  test("waits for finalizers, and begins only when the owner is gone", () => {
    const owner = make("owner", [], { finalizers: ["a/b"] });
    make("child", [owner], { finalizers: ["c/d"] });
    api.remove(named(configMaps, "owner"));
    clock.pass(100);
    expect(api.get(named(configMaps, "child")).object.metadata.deletionTimestamp).toBeUndefined();
    api.patch(named(configMaps, "owner"), merge, { metadata: { finalizers: null } });
    clock.pass(100);
    expect(there()).toEqual(["child"]);
    api.patch(named(configMaps, "child"), merge, { metadata: { finalizers: null } });
    expect(there()).toEqual([]);
  });

  test("removes an owner in the foreground after what it owns", () => {
    const owner = make("owner");
    make("child", [owner], { finalizers: ["c/d"] });
    api.remove(named(configMaps, "owner"), { propagationPolicy: "Foreground" });
    clock.pass(100);
    expect(there()).toEqual(["child", "owner"]);
    api.patch(named(configMaps, "child"), merge, { metadata: { finalizers: null } });
    clock.pass(100);
    expect(there()).toEqual([]);
  });

  test("lets what an owner leaves be, where it is told to orphan it", () => {
    make("child", [make("owner")]);
    api.remove(named(configMaps, "owner"), { propagationPolicy: "Orphan" });
    clock.pass(100);
    expect(there()).toEqual(["child"]);
    expect(api.get(named(configMaps, "child")).object.metadata.ownerReferences).toBeUndefined();
  });

  test("tries again where it is refused", () => {
    make("child", [make("owner")]);
    api.remove(named(configMaps, "owner"));
    isAdmitted = false;
    clock.pass(1_000);
    expect(there()).toEqual(["child"]);
    isAdmitted = true;
    clock.pass(2_000);
    expect(there()).toEqual([]);
  });
});

describe("the protection of claims", () => {
  const pod = { namespace: team, name: "p" };

  beforeEach(() => {
    const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    api.create({ resource: claims, namespace: team }, { metadata: { name: "c" }, spec });
    const volumes = [{ name: "v", persistentVolumeClaim: { claimName: "c" } }];
    const body = { metadata: { name: "p" }, spec: { containers: [{ name: "t" }], volumes } };
    api.create({ resource: pods, namespace: team }, body);
  });

  test("keeps a claim until the pod of a node that uses it is gone", () => {
    bindPod(api, pod, { target: { name: "node-a" } }, clock.now());
    api.remove(named(claims, "c"));
    clock.pass(60_000);
    expect(there(claims)).toEqual(["c"]);
    api.remove(named(pods, "p"), { gracePeriodSeconds: 0 });
    clock.pass(100);
    expect(there(claims)).toEqual([]);
  });

  test("does not wait for a pod that no node has", () => {
    api.remove(named(claims, "c"));
    clock.pass(100);
    expect(there(claims)).toEqual([]);
  });
});

describe("the end of a namespace", () => {
  test("removes what is in it, waits for what is held, and makes room for a new one", () => {
    make("plain");
    make("held", [], { finalizers: ["a/b"] });
    const before = api.get({ resource: namespaces, name: team }).object.metadata.uid;
    api.remove({ resource: namespaces, name: team });
    clock.pass(60_000);
    expect(there()).toEqual(["held"]);
    expect(refusalOf(() => make("new")).code).toBe(403);
    expect(api.remove({ resource: namespaces, name: team }).kind).toBe("Held");
    api.patch(named(configMaps, "held"), merge, { metadata: { finalizers: null } });
    clock.pass(100);
    expect(refusalOf(() => api.get({ resource: namespaces, name: team })).code).toBe(404);
    const again = api.create({ resource: namespaces }, { metadata: { name: team } });
    expect(again.object.metadata.uid).not.toBe(before);
  });

  test("waits for the namespace's own finalizers", () => {
    api.patch({ resource: namespaces, name: team }, merge, { metadata: { finalizers: ["a/b"] } });
    api.remove({ resource: namespaces, name: team });
    clock.pass(100);
    expect(api.get({ resource: namespaces, name: team }).object.spec).toEqual({ finalizers: [] });
    api.patch({ resource: namespaces, name: team }, merge, { metadata: { finalizers: null } });
    expect(refusalOf(() => api.get({ resource: namespaces, name: team })).code).toBe(404);
  });
});
