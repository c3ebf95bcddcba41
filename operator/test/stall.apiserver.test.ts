import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import { afterEach, beforeEach, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { pods } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FakeKubelet } from "./fake-kubelet.ts";
import { OperatorLife } from "./operator-life.ts";
import { answer, checkpoint, progress, served } from "./records.ts";
import { specWith } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const api = useApiServer(installTrainingRuns);
let drawn = 0;
let namespace: string;
let kubelet: FakeKubelet;
let agents: Server;
let life: OperatorLife;
/** What the agent of each attempt tells of itself, beside who it is. */
let told: Map<number, Partial<AgentState>>;

beforeEach(async () => {
  drawn += 1;
  namespace = `stall-${process.pid}-${drawn}`;
  await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
  kubelet = new FakeKubelet(api.direct, { namespace, node: `${namespace}-node` });
  told = new Map();
  agents = playAgents();
  await new Promise<void>((resolve) => agents.listen(0, "127.0.0.1", resolve));
  life = new OperatorLife(api.credentials, { watchNodes: false, agentPort: (agents.address() as AddressInfo).port });
  await life.begin(namespace);
});

afterEach(async () => {
  await life.kill();
  agents.closeAllConnections();
  await new Promise((resolve) => agents.close(resolve));
});

/** The agents of all pods; which attempt a pod is of is read from the API server. */
function playAgents(): Server {
  return createServer(async (request, response) => {
    const { searchParams } = new URL(request.url ?? "/", "http://agent");
    const [runUid, podUid] = [searchParams.get("run") ?? "", searchParams.get("pod") ?? ""];
    const { items } = await api.direct.list<KubeObject>({ resource: pods, namespace }, {}, forever);
    const pod = items.find(({ metadata }) => metadata.uid === podUid);
    const attempt = Number(pod?.metadata.labels?.["trainingrun.dev/attempt"]);
    const state = answer({ runUid, podUid, attempt, ...told.get(attempt) });
    response.writeHead(pod === undefined ? 409 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(state));
  });
}

const get = (resource: typeof pods | typeof trainingRuns, name: string) =>
  api.direct.get<KubeObject>({ resource, namespace, name }, forever);
const status = async () => ((await get(trainingRuns, "mnist")).status ?? {}) as TrainingRunStatus;

/** The pod runs, and its agent can be reached where the test plays it. */
async function start(name: string): Promise<void> {
  await until(`the pod ${name}`, () => get(pods, name).catch(() => undefined));
  await kubelet.start(name);
  const target = { resource: pods, namespace, name, subresource: "status" } as const;
  await api.direct.mergePatch(target, { status: { podIP: "127.0.0.1", podIPs: [{ ip: "127.0.0.1" }] } }, forever);
}

it("stops a trainer whose agent says that it stands still, keeps what it was doing, and tries again", async () => {
  const template = { spec: { schedulerName: "the-test", containers: [{ name: "trainer", image: "trainer:1" }] } };
  const spec = specWith({ template, stall: { timeoutSeconds: 900 }, retry: { backoff: { initialSeconds: 1 } } });
  const metadata = { name: "mnist" };
  const object = { apiVersion: "trainingrun.dev/v1alpha1", kind: "TrainingRun", metadata, spec };
  await api.direct.create({ resource: trainingRuns, namespace }, object, forever);
  told.set(1, { progress: progress({ step: 120 }) });
  await start("mnist-1-0");
  await until("step 120", async () => (await status()).progress?.step === 120 || undefined);
  expect((await status()).stop).toBeUndefined();

  const dump = "Main thread:\n    at hold (train.mjs:3:1)";
  told.set(1, { progress: progress({ step: 120 }), stall: { step: 120, seconds: 900, dump } });
  await until("the pod is asked to go", async () => (await get(pods, "mnist-1-0")).metadata.deletionTimestamp);
  expect(await status()).toMatchObject({
    stop: { attempt: 1, cause: "Stalled", reason: "NoStep" },
    attempts: [{ number: 1, dump }],
  });

  await kubelet.end("mnist-1-0", {
    trainer: { exitCode: 137 },
    agent: { exitCode: 0, record: served({ latestVerified: checkpoint(100, 1, "a"), lastStep: 120 }) },
  });
  await kubelet.release("mnist-1-0");
  told.set(2, { progress: progress({ step: 130 }) });
  await start("mnist-2-0");
  await until("step 130", async () => (await status()).progress?.step === 130 || undefined);
  expect(await status()).toMatchObject({
    attempts: [{ number: 2 }, { number: 1, cause: "Stalled", charge: "Failure", lastStep: 120, dump }],
    totals: { stalls: 1, failures: 1, disruptions: 0 },
  });
  expect((await status()).stop).toBeUndefined();
  expect(life.errors).toEqual([]);
});
