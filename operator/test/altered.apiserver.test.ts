import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { isNotFound } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { nodes, pods } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FakeKubelet } from "./fake-kubelet.ts";
import { OperatorLife } from "./operator-life.ts";
import { checkpoint, served } from "./records.ts";
import { specWith } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const api = useApiServer(installTrainingRuns);
let drawn = 0;

/** Whatever the operator wrote on a pod, gone. */
const bare = {
  "trainingrun.dev/run": null,
  "trainingrun.dev/run-uid": null,
  "trainingrun.dev/attempt": null,
  "trainingrun.dev/worker": null,
};

describe("objects that somebody changes by hand", () => {
  let namespace: string;
  let kubelet: FakeKubelet;
  let life: OperatorLife;

  beforeEach(async () => {
    drawn += 1;
    namespace = `altered-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    kubelet = new FakeKubelet(api.direct, { namespace, node: `${namespace}-node` });
    await kubelet.register();
    life = new OperatorLife(api.credentials);
    await life.begin(namespace);
    const template = { spec: { schedulerName: "the-test", containers: [{ name: "trainer", image: "trainer:1" }] } };
    const object = {
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      metadata: { name: "mnist" },
      spec: specWith({ template }),
    };
    await api.direct.create({ resource: trainingRuns, namespace }, object, forever);
    await until(
      "the pod is on record",
      async () => ((await status()).attempts?.[0]?.pods.length ?? 0) > 0 || undefined,
    );
    await kubelet.start("mnist-1-0");
  });

  afterEach(async () => {
    await life.kill();
    const target = { resource: nodes, name: `${namespace}-node` };
    const { uid } = (await api.direct.get<KubeObject>(target, forever)).metadata;
    await api.direct.remove(target, { preconditions: { uid } }, forever);
  });

  const target = (resource: typeof pods | typeof trainingRuns, name: string) => ({ resource, namespace, name });
  const get = (resource: typeof pods | typeof trainingRuns, name: string) =>
    api.direct.get<KubeObject>(target(resource, name), forever);
  const status = async () => ((await get(trainingRuns, "mnist")).status ?? {}) as TrainingRunStatus;
  const change = (resource: typeof pods | typeof trainingRuns, name: string, metadata: unknown) =>
    api.direct.mergePatch<KubeObject>(target(resource, name), { metadata }, forever);
  const gone = (resource: typeof pods | typeof trainingRuns, name: string) =>
    until(`${name} is gone`, async () => {
      try {
        await get(resource, name);
        return undefined;
      } catch (error) {
        return isNotFound(error) || undefined;
      }
    });
  const crash = () =>
    kubelet.end("mnist-1-0", {
      trainer: { exitCode: 1 },
      agent: { exitCode: 0, record: served({ resumedFrom: null, lastStep: 7, latestVerified: checkpoint(7, 1, "a") }) },
    });

  it.each([
    ["its labels", { labels: bare }],
    ["the number of its attempt", { labels: { "trainingrun.dev/attempt": "999999999" } }],
    ["its owner", { ownerReferences: null }],
    ["its labels and its owner", { labels: bare, ownerReferences: null }],
  ])("a pod that lost %s has that back, and its end is counted as any", async (_what, metadata) => {
    const before = (await get(pods, "mnist-1-0")).metadata;
    await change(pods, "mnist-1-0", metadata);
    const after = await until("it is put back", async () => {
      const now = (await get(pods, "mnist-1-0")).metadata;
      const isBack = now.labels?.["trainingrun.dev/run"] !== undefined && now.ownerReferences !== undefined;
      return isBack && now.labels?.["trainingrun.dev/attempt"] === "1" ? now : undefined;
    });
    expect([after.labels, after.ownerReferences]).toEqual([before.labels, before.ownerReferences]);
    await crash();
    await until("the end is on record", async () => (await status()).attempts?.some(({ endTime }) => endTime));
    await until("the pod is let go", async () => (await get(pods, "mnist-1-0")).metadata.finalizers === undefined);
    expect(await status()).toMatchObject({ attempt: 1, totals: { attempts: 1, failures: 1 } });
    expect(life.errors).toEqual([]);
  });

  it("a run that lost its finalizer has it back, and its deletion waits for the last save", async () => {
    await change(trainingRuns, "mnist", { finalizers: null });
    await until(
      "it is back",
      async () => (await get(trainingRuns, "mnist")).metadata.finalizers?.length === 1 || undefined,
    );
    const { uid } = (await get(trainingRuns, "mnist")).metadata;
    await api.direct.remove(target(trainingRuns, "mnist"), { preconditions: { uid } }, forever);
    await until("the pod is asked to stop", async () => (await get(pods, "mnist-1-0")).metadata.deletionTimestamp);
    expect((await get(trainingRuns, "mnist")).metadata.finalizers).toEqual(["trainingrun.dev/final-save"]);
    await crash();
    await kubelet.release("mnist-1-0");
    await gone(trainingRuns, "mnist");
    await gone(pods, "mnist-1-0");
  });

  it("a deleted run lets a pod go that nobody finds by its labels any more", async () => {
    await life.kill();
    await change(pods, "mnist-1-0", { labels: bare });
    const { uid } = (await get(trainingRuns, "mnist")).metadata;
    await api.direct.remove(target(trainingRuns, "mnist"), { preconditions: { uid } }, forever);
    life = new OperatorLife(api.credentials);
    await life.begin(namespace);
    await until("the pod is asked to stop", async () => (await get(pods, "mnist-1-0")).metadata.deletionTimestamp);
    await crash();
    await kubelet.release("mnist-1-0");
    await gone(trainingRuns, "mnist");
    await gone(pods, "mnist-1-0");
  });
});
