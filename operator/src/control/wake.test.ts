import { beforeEach, describe, expect, it } from "vitest";
import { ObjectCache } from "../kubernetes/cache.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { makesRoom, wakeAll, wakeOnChanges } from "./wake.ts";

const run = (version: number, generation: number, uid = "u1"): KubeObject => ({
  metadata: { name: "mnist", namespace: "a", uid, resourceVersion: String(version), generation },
});
const owner = { apiVersion: "", kind: "TrainingRun", name: "mnist", uid: "u1", controller: true };
const pod = (version: number): KubeObject => ({
  metadata: {
    name: "mnist-1-0",
    namespace: "a",
    uid: "p1",
    resourceVersion: String(version),
    ownerReferences: [owner],
  },
});

describe("a change wakes its run", () => {
  let runs: ObjectCache<KubeObject>;
  let pods: ObjectCache<KubeObject>;
  let told: string[];
  let stop: () => void;

  beforeEach(() => {
    told = [];
    runs = new ObjectCache({ claim: () => [] });
    pods = new ObjectCache({ node: () => [] });
    runs.put(run(1, 1));
    const queue = {
      add: (key: string) => told.push(`add ${key}`),
      forget: (key: string) => told.push(`forget ${key}`),
    };
    stop = wakeOnChanges({ runs, pods, claims: new ObjectCache(), nodes: undefined }, queue);
  });

  const rows: readonly [name: string, change: () => void, told: string[]][] = [
    ["a pod that came, within its back-off", () => pods.put(pod(2)), ["add a/mnist"]],
    ["our own write of its status, within its back-off", () => runs.put(run(2, 1)), ["add a/mnist"]],
    ["an edit, at once", () => runs.put(run(2, 2)), ["forget a/mnist", "add a/mnist"]],
    ["its end, at once", () => runs.remove(run(2, 1)), ["forget a/mnist", "add a/mnist"]],
    [
      "a run made anew under the name, at once",
      () => runs.put(run(2, 1, "u2")),
      ["forget a/mnist", "add a/mnist", "forget a/mnist", "add a/mnist"],
    ],
  ];
  it.each(rows)("%s", (_, change, expected) => {
    change();
    expect(told).toEqual(expected);
  });

  it("no longer, once nobody works on it", () => {
    stop();
    pods.put(pod(2));
    runs.put(run(2, 2));
    expect(told).toEqual([]);
  });

  it("and whoever begins to work has all of them woken, and those that only a pod knows of", () => {
    const stray = { ...pod(2).metadata, name: "gone-1-0", ownerReferences: [{ ...owner, name: "gone" }] };
    pods.put({ metadata: stray });
    told = [];
    wakeAll({ runs, pods }, { add: (key, urgency) => told.push(`${key} ${urgency}`) });
    expect(told).toEqual(["a/mnist Patient", "a/gone Patient"]);
  });
});

describe("room for what a quota refuses", () => {
  const inPhase = (phase: string): KubeObject => ({ ...pod(2), status: { phase } });
  const became = (before: string, after: string) =>
    makesRoom({ kind: "Updated", before: inPhase(before), object: inPhase(after) });

  it("may come with what goes, and with a pod that ends", () => {
    expect(makesRoom({ kind: "Deleted", object: pod(2) })).toBe(true);
    expect([became("Running", "Failed"), became("Pending", "Succeeded")]).toEqual([true, true]);
  });

  it("comes with nothing else", () => {
    expect(makesRoom({ kind: "Added", object: inPhase("Failed") })).toBe(false);
    expect([became("Pending", "Running"), became("Failed", "Failed")]).toEqual([false, false]);
    expect(makesRoom({ kind: "Updated", before: pod(1), object: pod(2) })).toBe(false);
  });
});
