import { beforeEach, describe, expect, it } from "vitest";
import { parseTrainingRun } from "../src/api/training-run.ts";
import { apply } from "../src/control/apply.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { DroppedFields } from "../src/control/kept-fields.ts";
import type { Action } from "../src/core/decision.ts";
import { observePod } from "../src/core/observe-pod.ts";
import { isNotFound } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { pods } from "../src/kubernetes/resource.ts";
import { useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FakeKubelet } from "./fake-kubelet.ts";
import { runOf } from "./run-builder.ts";

const namespace = "default";
const finalizer = "trainingrun.dev/accounting";
const forever = { signal: new AbortController().signal };

describe("a pod that was given up, on a real API server and a node that says nothing", () => {
  const api = useApiServer(installTrainingRuns);
  let name: string;
  let raw: KubeObject;
  let pod: KubeObject;
  let drawn = 0;

  beforeEach(async () => {
    drawn += 1;
    name = `fence-${process.pid}-${drawn}`;
    raw = await api.direct.create<KubeObject>({ resource: trainingRuns, namespace }, aRun(), forever);
    const kubelet = new FakeKubelet(api.direct, { namespace, node: `${name}-node` });
    await kubelet.register();
    await api.direct.create({ resource: pods, namespace }, aPod(), forever);
    pod = await kubelet.start(name);
  });

  const aRun = () => ({
    apiVersion: "trainingrun.dev/v1alpha1",
    kind: "TrainingRun",
    metadata: { name },
    spec: {
      template: { spec: { containers: [{ name: "trainer", image: "trainer:1", command: ["train"] }] } },
      checkpoint: { volume: { claimName: "data" } },
    },
  });
  const aPod = () => ({
    metadata: {
      name,
      finalizers: [finalizer, "example.com/other"],
      labels: { "trainingrun.dev/attempt": "1", "trainingrun.dev/worker": "0" },
    },
    spec: {
      schedulerName: "the-test",
      containers: [{ name: "trainer", image: "trainer:1" }],
      initContainers: [{ name: "agent", image: "agent:1", restartPolicy: "Always" }],
    },
  });
  const target = () => ({ resource: pods, namespace, name });
  const found = async () => {
    try {
      return await api.direct.get<KubeObject>(target(), forever);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  };

  async function act(...actions: Action[]) {
    const writers = {
      client: api.direct,
      written: () => undefined,
      created: () => undefined,
      statusWritten: () => undefined,
      dropped: new DroppedFields(),
      now: () => 0,
    };
    const { done } = await apply(
      { run: runOf(parseTrainingRun(raw)), raw, decision: { status: {}, actions, events: [] } },
      writers,
      forever,
    );
    return done.length;
  }

  const removal = (uid = pod.metadata.uid): Action => ({ kind: "DeletePod", name, uid, force: true });
  const release = (): Action => {
    const { uid, resourceVersion } = pod.metadata;
    return { kind: "ReleasePod", name, uid, resourceVersion, finalizers: [finalizer, "example.com/other"] };
  };
  const letGo = () => api.direct.mergePatch(target(), { metadata: { finalizers: null } }, forever);

  it("waits for its kubelet for ever where it is only asked to stop", async () => {
    expect(await act({ kind: "DeletePod", name, uid: pod.metadata.uid }, release())).toBe(2);
    await letGo();
    expect(observePod(await found())).toMatchObject({ removedByForce: false });
    expect(await act(removal())).toBe(1);
    expect(await found()).toBeUndefined();
  });

  it("waits for other finalizers alone where it is removed by force, and goes with the last of them", async () => {
    expect(await act(removal(), release())).toBe(2);
    expect(observePod(await found())).toMatchObject({ removedByForce: true, finalizers: ["example.com/other"] });
    await letGo();
    expect(await found()).toBeUndefined();
  });

  it("is removed once, however often that is asked for", async () => {
    expect(await act(removal(), removal(), release(), removal())).toBe(4);
    await letGo();
    expect(await found()).toBeUndefined();
    expect(await act(removal())).toBe(1);
  });

  it("is removed by force although somebody has asked it to stop before", async () => {
    await act({ kind: "DeletePod", name, uid: pod.metadata.uid });
    await act(removal());
    expect(observePod(await found())).toMatchObject({ removedByForce: true });
    await letGo();
    expect(await found()).toBeUndefined();
  });

  it("is not taken for another of its name (I7)", async () => {
    expect(await act(removal("another"))).toBe(1);
    expect((await found())?.metadata).toMatchObject({ uid: pod.metadata.uid });
    expect(observePod(await found())).toMatchObject({ removedByForce: false, deletionRequestedAt: null });
    await act(removal());
    await letGo();
  });
});
