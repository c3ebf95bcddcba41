import type { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { pods, services } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FakeKubelet } from "./fake-kubelet.ts";
import type { Seen } from "./fault-proxy.ts";
import { gangSpec } from "./gang-builder.ts";
import { OperatorLife } from "./operator-life.ts";
import { checkpoint, digest, served } from "./records.ts";
import { appliedRun } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
type Run = KubeObject & Readonly<{ status?: TrainingRunStatus }>;

const api = useApiServer(installTrainingRuns);
let drawn = 0;

describe("a gang of three on a real API server, with pods whose fate is played", () => {
  let namespace: string;
  let kubelet: FakeKubelet;
  let lives: OperatorLife[];

  beforeEach(async () => {
    drawn += 1;
    namespace = `gang-${process.pid}-${drawn}`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    kubelet = new FakeKubelet(api.direct, { namespace, node: `${namespace}-node` });
    await kubelet.register();
    lives = [];
    await reborn();
  });

  afterEach(async () => {
    await lives.at(-1)?.kill();
  });

  async function reborn(): Promise<void> {
    const life = new OperatorLife(api.credentials);
    lives.push(life);
    await life.begin(namespace);
  }

  const namesOf = (attempt: number) => [0, 1, 2].map((worker) => `mnist-${attempt}-${worker}`);
  const status = async (): Promise<TrainingRunStatus> =>
    (await api.direct.get<Run>({ resource: trainingRuns, namespace, name: "mnist" }, forever)).status ?? {};
  const standing = async () => (await api.direct.list<KubeObject>({ resource: pods, namespace }, {}, forever)).items;

  async function createRun(): Promise<void> {
    const run = appliedRun("mnist");
    const template = {
      spec: { schedulerName: "the-test", containers: [{ name: "trainer", image: "i", command: ["c"] }] },
    };
    const checkpointing = { ...gangSpec.checkpoint, interval: { steps: 100 } };
    const spec = {
      template,
      workers: 3,
      checkpoint: checkpointing,
      retry: { backoff: { initialSeconds: 1, maxSeconds: 10 } },
    };
    await api.direct.create({ resource: trainingRuns, namespace }, { ...run, spec }, forever);
  }

  async function begun(attempt: number): Promise<void> {
    await until(`all pods of attempt ${attempt} are on record`, async () => {
      const newest = (await status()).attempts?.[0];
      return (newest?.number === attempt && newest.pods.length === 3) || undefined;
    });
    for (const name of namesOf(attempt)) await kubelet.start(name);
  }

  async function asked(name: string): Promise<void> {
    await until(`${name} is asked to stop`, async () => {
      const { metadata } = await api.direct.get<KubeObject>({ resource: pods, namespace, name }, forever);
      return metadata.deletionTimestamp;
    });
  }

  const preempted = (attempt: number) =>
    ({
      exitCode: 143,
      record: {
        kind: "preempted",
        attempt,
        step: 70,
        finalCheckpoint: "Saved",
        checkpoint: digest("a"),
        graceUsedSeconds: 1,
      },
    }) as const;
  const agent = (over: Parameters<typeof served>[0]) => ({ exitCode: 0, record: served(over) });

  /** A gang of which one worker is evicted, and that finishes with its second attempt. */
  async function live(): Promise<void> {
    await createRun();
    await begun(1);
    await kubelet.evict("mnist-1-1");
    for (const name of namesOf(1)) await asked(name);
    const saved = { attempt: 1, resumedFrom: null, lastStep: 70, latestVerified: checkpoint(70, 1, "a") };
    for (const name of namesOf(1)) await kubelet.end(name, { trainer: preempted(1), agent: agent(saved) });
    await begun(2);
    const done: TrainerRecord = { kind: "done", attempt: 2, step: 100, checkpoint: digest("b"), metrics: [] };
    const last = { attempt: 2, resumedFrom: { step: 70, digest: digest("a"), tier: "Volume" }, lastStep: 100 } as const;
    for (const name of namesOf(2).slice(1)) await kubelet.end(name, { trainer: { exitCode: 0 }, agent: agent(last) });
    await kubelet.end("mnist-2-0", {
      trainer: { exitCode: 0, record: done },
      agent: agent({ ...last, latestVerified: checkpoint(100, 2, "b"), done: digest("b") }),
    });
    await until("the run is complete", async () => (await status()).state === "Complete" || undefined);
  }

  const isCreation = ({ method, path, status: code }: Seen & { status: number }, kind: string) =>
    method === "POST" && code === 201 && path.endsWith(`/${kind}`);

  async function end(): Promise<unknown> {
    const { attempts, totals } = await status();
    const answered = lives.flatMap(({ proxy }) => proxy.answered);
    return {
      ledger: attempts?.map(({ number, cause, charge, pods: had }) => ({ number, cause, charge, pods: had.length })),
      totals: [totals?.attempts, totals?.disruptions, totals?.failures],
      created: ["services", "pods"].map((kind) => answered.filter((seen) => isCreation(seen, kind)).length),
    };
  }

  const undisturbed = {
    ledger: [
      { number: 2, cause: "Complete", charge: "Nothing", pods: 3 },
      { number: 1, cause: "Drained", charge: "Disruption", pods: 3 },
    ],
    totals: [2, 1, 0],
    created: [1, 6],
  };

  it("stops with the first worker that is lost, begins anew as a whole, and finishes by its worker 0", async () => {
    await live();
    expect(await end()).toEqual(undisturbed);
    expect(lives[0]?.errors).toEqual([]);
    const service = await api.direct.get<KubeObject>({ resource: services, namespace, name: "mnist" }, forever);
    expect(service.spec).toMatchObject({ clusterIP: "None", publishNotReadyAddresses: true });
    const hosts = (await standing()).map(({ spec }) => spec as { hostname?: string; subdomain?: string });
    expect(new Set(hosts.map(({ subdomain }) => subdomain))).toEqual(new Set(["mnist"]));
    expect(hosts.map(({ hostname }) => hostname)).toContain("mnist-2-2");
  });

  it.each([2, 4, 5, 7, 9, 12])("comes to the same end when its operator dies after write %i", async (last) => {
    const [first] = lives;
    if (first === undefined) throw new Error("An operator begins with each test");
    let writes = 0;
    const isLast = (seen: Seen) => {
      const isWrite = seen.method !== "GET" && !seen.path.includes("/events");
      if (isWrite) writes += 1;
      return isWrite && writes === last;
    };
    first.proxy.fail(isLast, { kind: "LoseAnswerForGood" });
    let second: Promise<void> | undefined;
    const nurse = setInterval(() => {
      if (first.proxy.isCut) second ??= first.kill().then(reborn);
    }, 20);
    try {
      await live();
    } finally {
      clearInterval(nurse);
      await second;
    }
    expect([first.proxy.isCut, await end()]).toEqual([true, undisturbed]);
  });
});
