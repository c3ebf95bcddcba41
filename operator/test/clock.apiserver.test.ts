import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { isNotFound } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { pods } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FakeKubelet } from "./fake-kubelet.ts";
import { OperatorLife } from "./operator-life.ts";
import { checkpoint, digest, served } from "./records.ts";
import { specWith } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const hour = 3_600_000;
/** What no test replaces. */
const machineNow = Date.now;
const api = useApiServer(installTrainingRuns);
let drawn = 0;

/*
 * An operator on a machine whose clock is an hour off compares the API server's times with its own: it would give up the
 * last save of a deleted run at once, or an hour late.
 */
describe.each([
  ["ahead", hour],
  ["behind", -hour],
])("an operator whose clock is an hour %s", (_where, off) => {
  let namespace: string;
  let kubelet: FakeKubelet;
  let life: OperatorLife;

  beforeEach(async () => {
    drawn += 1;
    namespace = `clock-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    kubelet = new FakeKubelet(api.direct, { namespace, node: `${namespace}-node` });
    // The API server is a process of its own, and what the test says as a kubelet asks no `Date.now`.
    vi.spyOn(Date, "now").mockImplementation(() => machineNow() + off);
    life = new OperatorLife(api.credentials, { watchNodes: false });
    await life.begin(namespace);
  });
  afterEach(async () => {
    await life.kill();
    vi.restoreAllMocks();
  });

  const target = (resource: typeof pods | typeof trainingRuns, name: string) => ({ resource, namespace, name });
  const get = (resource: typeof pods | typeof trainingRuns, name: string) =>
    api.direct.get<KubeObject>(target(resource, name), forever);
  const status = async () => ((await get(trainingRuns, "mnist")).status ?? {}) as TrainingRunStatus;
  const isNow = (time: string | undefined) =>
    expect(Math.abs(Date.parse(time ?? "") - machineNow())).toBeLessThan(30_000);

  it("writes the server's time, and waits for the last save of a deleted run", async () => {
    const template = { spec: { schedulerName: "the-test", containers: [{ name: "trainer", image: "trainer:1" }] } };
    const spec = specWith({ template });
    const object = { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", metadata: { name: "mnist" }, spec };
    await api.direct.create({ resource: trainingRuns, namespace }, object, forever);
    await until(
      "the pod is on record",
      async () => ((await status()).attempts?.[0]?.pods.length ?? 0) > 0 || undefined,
    );
    isNow((await status()).startTime);
    await kubelet.start("mnist-1-0");

    const { uid } = (await get(trainingRuns, "mnist")).metadata;
    await api.direct.remove(target(trainingRuns, "mnist"), { preconditions: { uid } }, forever);
    await until("the pod is asked to stop", async () => (await get(pods, "mnist-1-0")).metadata.deletionTimestamp);
    await until("the run says that it saves", async () => (await status()).state === "Saving" || undefined);
    isNow((await status()).stop?.time);
    // A change that has it look again.
    await kubelet.run("mnist-1-0");
    await kubelet.run("mnist-1-0");
    expect((await get(pods, "mnist-1-0")).metadata.finalizers).toEqual(["trainingrun.dev/accounting"]);
    expect((await get(trainingRuns, "mnist")).metadata.finalizers).toEqual(["trainingrun.dev/final-save"]);

    const latestVerified = checkpoint(70, 1, "a");
    await kubelet.end("mnist-1-0", {
      trainer: {
        exitCode: 143,
        record: {
          kind: "preempted",
          attempt: 1,
          step: 70,
          finalCheckpoint: "Saved",
          checkpoint: digest("a"),
          graceUsedSeconds: 1,
        },
      },
      agent: { exitCode: 0, record: served({ resumedFrom: null, lastStep: 70, latestVerified }) },
    });
    await kubelet.release("mnist-1-0");
    await until("the run is gone", async () => {
      try {
        await get(trainingRuns, "mnist");
        return undefined;
      } catch (error) {
        return isNotFound(error) || undefined;
      }
    });
    expect(life.errors).toEqual([]);
  });
});
