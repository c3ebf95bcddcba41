import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { isNotFound } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims, events, pods, type Resource } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FakeKubelet } from "./fake-kubelet.ts";
import { OperatorLife } from "./operator-life.ts";
import { checkpoint, digest, served } from "./records.ts";
import { type Fields, specWith } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const api = useApiServer(installTrainingRuns);
let drawn = 0;

describe("a run with an object store, on a real API server, with pods whose fate is played", () => {
  const objectStore = { endpoint: "https://s3.example.com", bucket: "checkpoints", credentialsSecretName: "s3-keys" };
  const withVolume = { ...(specWith().checkpoint as Fields), objectStore, interval: { steps: 100 } };
  const withoutVolume = { objectStore, maxBytes: "1Gi", interval: { steps: 100 } };
  let namespace: string;
  let kubelet: FakeKubelet;
  let life: OperatorLife;
  let removalPod: string;

  beforeEach(async () => {
    drawn += 1;
    namespace = `object-store-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    kubelet = new FakeKubelet(api.direct, { namespace, node: `${namespace}-node` });
    life = await begun();
  });
  afterEach(() => life.kill());

  async function begun(): Promise<OperatorLife> {
    const next = new OperatorLife(api.credentials, { watchNodes: false });
    await next.begin(namespace);
    return next;
  }

  async function createRun(spec: Fields): Promise<void> {
    const template = {
      spec: { schedulerName: "the-test", containers: [{ name: "trainer", image: "trainer:1", command: ["train"] }] },
    };
    const object = {
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      metadata: { name: "mnist" },
      spec: { template, ...spec },
    };
    const made = await api.direct.create<KubeObject>({ resource: trainingRuns, namespace }, object, forever);
    removalPod = `mnist-delete-${made.metadata.uid.slice(0, 8)}`;
    await exists(pods, "mnist-1-0");
    await until("the pod is on record", async () => (await status()).attempts?.[0]?.pods[0]?.uid);
  }

  const target = (resource: Resource, name: string) => ({ resource, namespace, name });
  const get = (resource: Resource, name: string) => api.direct.get<KubeObject>(target(resource, name), forever);
  const exists = (resource: Resource, name: string) =>
    until(`${resource.kind} ${name} exists`, () => get(resource, name).catch(() => undefined));
  const isGone = (resource: Resource, name: string) =>
    until(`${resource.kind} ${name} is gone`, async () => (await get(resource, name).catch(isNotFound)) === true);
  const status = async () => ((await get(trainingRuns, "mnist")).status ?? {}) as TrainingRunStatus;
  const progressing = async () => (await status()).conditions?.find(({ type }) => type === "Progressing");
  const reasonIs = (reason: string) =>
    until(`the run is ${reason}`, async () => {
      const condition = await progressing();
      return condition?.reason === reason ? condition.message : undefined;
    });

  async function told(reason: string): Promise<readonly string[]> {
    type Told = KubeObject & Readonly<{ reason?: string; note?: string }>;
    const { items } = await api.direct.list<Told>({ resource: events, namespace }, {}, forever);
    return items.filter((event) => event.reason === reason).map(({ note }) => note ?? "");
  }

  async function remove(resource: Resource, name: string): Promise<void> {
    const { uid } = (await get(resource, name)).metadata;
    await api.direct.remove(target(resource, name), { preconditions: { uid } }, forever);
  }

  const podsCreated = () =>
    life.proxy.answered.filter(
      ({ method, path, status }) => method === "POST" && /\/pods$/.test(path) && status === 201,
    );

  it("waits for a Secret that is not there, names it, and goes on when it is", async () => {
    await createRun({ checkpoint: withoutVolume });
    const missing = 'MountVolume.SetUp failed for volume "trainingrun-credentials" : secret "s3-keys" not found';
    await kubelet.warn("mnist-1-0", missing);
    await kubelet.bind("mnist-1-0");
    const words = await reasonIs("Blocked");
    expect(words).toContain(`${missing}. Create the Secret s3-keys in the namespace ${namespace} with the keys`);
    expect(await until("that is told", async () => (await told("Blocked"))[0])).toBe(words);
    expect(podsCreated().length).toBe(1);
    expect((await status()).attempt).toBe(1);
    await kubelet.run("mnist-1-0");
    await reasonIs("Restoring");
    expect(life.errors).toEqual([]);
  });

  /** A run whose training has ended, and whose deletion has been asked for. */
  async function deletedRun(checkpointSpec: Fields): Promise<void> {
    await createRun({ checkpoint: checkpointSpec, deletionPolicy: "Delete" });
    await kubelet.start("mnist-1-0");
    await kubelet.end("mnist-1-0", {
      trainer: { exitCode: 0, record: { kind: "done", attempt: 1, step: 9, checkpoint: digest("a"), metrics: [] } },
      agent: { exitCode: 0, record: served({ latestVerified: checkpoint(9, 1, "a"), done: digest("a") }) },
    });
    await until("the run is complete", async () => (await status()).state === "Complete" || undefined);
    await remove(trainingRuns, "mnist");
  }

  it("has its objects removed by a pod of its own before its claim and itself, also by a later operator", async () => {
    await deletedRun(withVolume);
    await exists(pods, removalPod);
    await life.kill();
    life = await begun();
    await kubelet.bind(removalPod);
    expect((await get(trainingRuns, "mnist")).metadata.finalizers).toContain("trainingrun.dev/final-save");
    const claim = (await api.direct.list<KubeObject>({ resource: claims, namespace }, {}, forever)).items[0];
    expect(claim?.metadata.deletionTimestamp).toBeUndefined();
    await kubelet.endAlone(removalPod, "delete", { kind: "deleted", seconds: 1 });
    await isGone(trainingRuns, "mnist");
    const { items } = await api.direct.list<KubeObject>({ resource: claims, namespace }, {}, forever);
    // Its protection is taken off by a controller that does not run here.
    expect(items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)).toEqual([]);
    expect(podsCreated()).toEqual([]);
    expect(await told("ObjectsAbandoned")).toEqual([]);
    expect(life.errors).toEqual([]);
  });

  it("says why its objects cannot be removed, and tries until they can", async () => {
    await deletedRun(withoutVolume);
    await exists(pods, removalPod);
    await kubelet.bind(removalPod);
    const failure = {
      kind: "delete-failed",
      reason: "CredentialsRefused",
      message: "Cannot list the objects.",
    } as const;
    await kubelet.endAlone(removalPod, "delete", failure);
    expect(await reasonIs("RemovalFailing")).toContain("Cannot list the objects. Put keys that the store");
    await kubelet.endAlone(removalPod, "delete", { kind: "deleted", seconds: 1 });
    await isGone(trainingRuns, "mnist");
  });

  it("does not hold up the deletion of its namespace", async () => {
    await createRun({ checkpoint: withoutVolume, deletionPolicy: "Delete" });
    await kubelet.start("mnist-1-0");
    await kubelet.end("mnist-1-0", {
      trainer: { exitCode: 0, record: { kind: "done", attempt: 1, step: 9, checkpoint: digest("a"), metrics: [] } },
      agent: { exitCode: 0, record: served({ latestVerified: checkpoint(9, 1, "a"), done: digest("a") }) },
    });
    await until("the run is complete", async () => (await status()).state === "Complete" || undefined);
    const { uid } = (await api.direct.get<KubeObject>({ resource: namespaces, name: namespace }, forever)).metadata;
    await api.direct.remove({ resource: namespaces, name: namespace }, { preconditions: { uid } }, forever);
    await remove(trainingRuns, "mnist");
    await isGone(trainingRuns, "mnist");
    expect(podsCreated().length).toBe(1);
    // Nor takes such a namespace an event: the log says what is left, and where.
    const note = expect.stringContaining("Left: the objects below checkpoints/");
    expect(
      await until("it is logged", async () => life.logged.find(({ reason }) => reason === "ObjectsAbandoned")),
    ).toMatchObject({ level: "warn", run: `${namespace}/mnist`, note });
  });
});
