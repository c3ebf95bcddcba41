import { Expected } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { isNotFound } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims, pods, type Resource } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FakeKubelet } from "./fake-kubelet.ts";
import { OperatorLife } from "./operator-life.ts";
import { digest, served } from "./records.ts";
import { type Fields, specWith } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const api = useApiServer(installTrainingRuns);
let drawn = 0;

type AgentPod = KubeObject & {
  spec: { initContainers: [{ env: { name: string; value?: string }[]; volumeMounts: Fields[] }] };
};

describe("a run that begins with another run's checkpoint, on a real API server", () => {
  let namespace: string;
  let kubelet: FakeKubelet;
  let life: OperatorLife;

  beforeEach(async () => {
    drawn += 1;
    namespace = `fork-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    const claim = {
      metadata: { name: "shared" },
      spec: { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } },
    };
    await api.direct.create({ resource: claims, namespace }, claim, forever);
    kubelet = new FakeKubelet(api.direct, { namespace, node: `${namespace}-node` });
    life = new OperatorLife(api.credentials, { watchNodes: false });
    await life.begin(namespace);
  });
  afterEach(() => life.kill());

  const named = (resource: Resource, name: string) => ({ resource, namespace, name });
  const status = async () =>
    ((await api.direct.get<KubeObject>(named(trainingRuns, "fork"), forever)).status ?? {}) as TrainingRunStatus;

  /** Makes a run on the shared claim, and says what uid it has. */
  async function create(name: string, spec: Fields): Promise<string> {
    const container = { name: "trainer", image: "trainer:1", command: ["train"] };
    const template = { spec: { schedulerName: "the-test", containers: [container] } };
    const retry = { backoff: { initialSeconds: 1, maxSeconds: 1 } };
    const object = {
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      metadata: { name },
      spec: specWith({ template, retry, checkpoint: { volume: { claimName: "shared" } }, ...spec }),
    };
    return (await api.direct.create<KubeObject>({ resource: trainingRuns, namespace }, object, forever)).metadata.uid;
  }

  async function remove(name: string, uid: string): Promise<void> {
    await api.direct.remove(named(trainingRuns, name), { preconditions: { uid } }, forever);
    const isGone = () => api.direct.get(named(trainingRuns, name), forever).catch(isNotFound);
    await until(`${name} is gone`, async () => (await isGone()) === true || undefined);
  }

  /** What the restore of an attempt is told, and what its agent mounts, once its pod runs. */
  async function started(attempt: number) {
    const name = `fork-${attempt}-0`;
    const pod = await until(`${name} is on record`, async () => {
      const [entry] = (await status()).attempts ?? [];
      if (entry?.number !== attempt || entry.pods.length === 0) return undefined;
      return await api.direct.get<AgentPod>(named(pods, name), forever);
    });
    await kubelet.start(name);
    const [{ env, volumeMounts }] = pod.spec.initContainers;
    const said = env.find((variable) => variable.name === "TRAININGRUN_EXPECTED")?.value ?? "";
    return { name, base: Expected.parse(JSON.parse(said)).base, volumeMounts };
  }

  async function restoreFails(name: string, failure: "StorageUnavailable" | "NoVerifiedCheckpoint"): Promise<void> {
    const attempt = Number(name.split("-")[1]);
    const kind = "restore-failed" as const;
    const record = { kind, attempt, failure, message: `words of ${failure}`, refused: [] };
    await kubelet.end(name, { trainer: { exitCode: 143 }, agent: { exitCode: 1, record } });
  }

  it("waits in words for a run that is not there", async () => {
    await create("fork", { resume: { from: { run: "other", step: 500 } } });
    const progressing = await until("the run says what it waits for", async () => {
      return (await status()).conditions?.find(({ reason }) => reason === "ResumePointMissing");
    });
    expect(progressing.message).toContain("there is no run other in this namespace");
    expect((await status()).attempts).toBeUndefined();
  });

  it("keeps to the run that had the name first, whoever has it later, until it has opened", async () => {
    const uid = await create("other", { suspend: true });
    await create("fork", { resume: { from: { run: "other", step: 500 } } });
    const first = await started(1);
    const told = { run: uid, checkpoint: { step: 500 }, volume: "/trainingrun/source" };
    expect(first.base).toEqual({ source: { ...told, since: 1 } });
    expect(first.volumeMounts).toContainEqual(
      expect.objectContaining({ mountPath: "/trainingrun/source", subPath: uid, readOnly: true }),
    );
    await remove("other", uid);
    expect(await create("other", { suspend: true })).not.toBe(uid);
    await restoreFails(first.name, "StorageUnavailable");
    const second = await started(2);
    expect(second.base).toEqual({ source: { ...told, since: 2 } });
    const resumedFrom = { step: 500, digest: digest("a"), tier: "Volume" } as const;
    const agent = { exitCode: 0, record: served({ attempt: 2, resumedFrom, lastStep: 510 }) };
    await kubelet.end(second.name, { trainer: { exitCode: 1 }, agent });
    expect((await started(3)).base).toBeNull();
    expect((await status()).base).toMatchObject({ step: 500, sinceAttempt: 2, from: '{"run":"other","step":500}' });
    expect(life.errors).toEqual([]);
  });

  it("looks again where the step was missing and somebody edits the run", async () => {
    await create("other", { suspend: true });
    await create("fork", { resume: { from: { run: "other", step: 500 } } });
    const first = await started(1);
    await restoreFails(first.name, "NoVerifiedCheckpoint");
    const missing = await until("the run says what is missing", async () => {
      return (await status()).conditions?.find(({ reason }) => reason === "ResumePointMissing");
    });
    expect(missing.message).toContain("words of NoVerifiedCheckpoint");
    for (const suspend of [true, false])
      await api.direct.mergePatch(named(trainingRuns, "fork"), { spec: { suspend } }, forever);
    expect((await started(2)).base).toMatchObject({ source: { since: 2 } });
  });
});
