import { ResumePolicy, type ResumeReport } from "@trainingrun/checkpoint/contract/resume.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { events, pods, type Resource } from "../src/kubernetes/resource.ts";
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

describe("how attempts take their checkpoints up, on a real API server, with pods whose fate is played", () => {
  let namespace: string;
  let kubelet: FakeKubelet;
  let life: OperatorLife;

  beforeEach(async () => {
    drawn += 1;
    namespace = `resume-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    kubelet = new FakeKubelet(api.direct, { namespace, node: `${namespace}-node` });
    life = new OperatorLife(api.credentials, { watchNodes: false });
    await life.begin(namespace);
  });
  afterEach(() => life.kill());

  const get = (resource: Resource, name: string) => api.direct.get<KubeObject>({ resource, namespace, name }, forever);
  const status = async () => ((await get(trainingRuns, "mnist")).status ?? {}) as TrainingRunStatus;

  async function createRun(resume: Fields): Promise<void> {
    const template = {
      spec: { schedulerName: "the-test", containers: [{ name: "trainer", image: "trainer:1", command: ["train"] }] },
    };
    const object = {
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      metadata: { name: "mnist" },
      spec: { ...specWith(), template, resume, retry: { backoff: { initialSeconds: 1, maxSeconds: 1 } } },
    };
    await api.direct.create({ resource: trainingRuns, namespace }, object, forever);
  }

  /** Waits for the pod of the attempt, on record, and has it run. */
  async function started(attempt: number): Promise<string> {
    const name = `mnist-${attempt}-0`;
    await until(`the pod ${name} exists`, () => get(pods, name).catch(() => undefined));
    await until(`${name} is on record`, async () => {
      const [entry] = (await status()).attempts ?? [];
      return entry?.number === attempt && entry.pods[0]?.uid ? true : undefined;
    });
    await kubelet.start(name);
    return name;
  }

  async function told(reason: string): Promise<readonly string[]> {
    type Told = KubeObject & Readonly<{ reason?: string; note?: string }>;
    const { items } = await api.direct.list<Told>({ resource: events, namespace }, {}, forever);
    return items.filter((event) => event.reason === reason).map(({ note }) => note ?? "");
  }

  it("the policy reaches the trainer, and its report the ledger and an event, from the agent's last word", async () => {
    const policy = { environmentMismatch: "Block", partial: ["head/*"], replaySteps: 5 } as const;
    await createRun(policy);
    const first = await started(1);
    const { spec } = (await get(pods, first)) as KubeObject & { spec: { containers: { env: Variable[] }[] } };
    const said = spec.containers[0]?.env.find(({ name }) => name === "TRAININGRUN_RESUME_POLICY")?.value;
    expect(ResumePolicy.parse(JSON.parse(said ?? ""))).toEqual(policy);
    const report = {
      environment: {
        policy: "Warn",
        total: 1,
        differences: [{ member: "backend", before: "tensorflow-gpu", now: "wasm" }],
      },
      partial: { loaded: 2, skipped: 1, missing: ["head/scale"], unexpected: [], reshaped: [], optimizerTensors: 2 },
      replay: {
        ...{ asked: 5, recorded: 5, compared: 3, result: "Differs", tolerance: "0.001" },
        ...{ firstDifference: 11, largestDifference: "0.0234" },
      },
    } satisfies ResumeReport;
    const saved = checkpoint(10, 1, "a");
    await kubelet.end(first, {
      trainer: { exitCode: 1 },
      agent: {
        exitCode: 0,
        record: served({ resumedFrom: null, lastStep: 13, latestVerified: saved, resume: report }),
      },
    });
    const entry = await until("attempt 1 has ended", async () => {
      return (await status()).attempts?.find(({ number, endTime }) => number === 1 && endTime !== undefined);
    });
    expect(entry).toMatchObject(report);
    for (const [reason, words] of [
      ["EnvironmentDiffers", "backend was tensorflow-gpu and is wasm"],
      ["PartiallyLoaded", "skipped 1, with 2 tensors of the optimizer, as resume.partial allows: head/scale"],
      ["ReplayDiffers", "from step 11 on in other bits"],
    ] as const) {
      const notes = await until(`${reason} is told`, async () => {
        const found = await told(reason);
        return found.length > 0 ? found : undefined;
      });
      expect(notes).toEqual([expect.stringContaining(words)]);
    }
  });

  it("another environment under Block ends the run as Incompatible, both sides named", async () => {
    await createRun({ environmentMismatch: "Block" });
    const first = await started(1);
    const message =
      "Cannot resume because the environment must be the one that saved the checkpoint (resume.environmentMismatch is " +
      "Block): backend is tensorflow-gpu in the checkpoint, wasm here.";
    await kubelet.end(first, {
      trainer: { exitCode: 3, record: { kind: "incompatible", attempt: 1, checkpoint: digest("a"), message } },
      agent: { exitCode: 0, record: served({ resumedFrom: null }) },
    });
    const failed = await until("the run has failed", async () =>
      (await status()).conditions?.find((condition) => condition.type === "Failed" && condition.status === "True"),
    );
    expect(failed.reason).toBe("Incompatible");
    expect(failed.message).toContain(message);
  });
});

type Variable = { name: string; value?: string };
