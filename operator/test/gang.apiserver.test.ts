import type { TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { nodes, pods, services } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FakeKubelet } from "./fake-kubelet.ts";
import type { Seen } from "./fault-proxy.ts";
import { OperatorLife } from "./operator-life.ts";
import { checkpoint, digest, served } from "./records.ts";
import { appliedRun, templateOf } from "./run-builder.ts";
import { sharedVolume } from "./world.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const size = 3;
type Run = KubeObject & Readonly<{ status?: TrainingRunStatus }>;

const api = useApiServer(installTrainingRuns);
let drawn = 0;

describe("a gang of three on a real API server, with pods whose fate is played", () => {
  let namespace: string;
  let node: string;
  let kubelet: FakeKubelet;
  let lives: OperatorLife[];

  beforeEach(async () => {
    drawn += 1;
    namespace = `gang-${process.pid}-${drawn}`;
    node = `${namespace}-node`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    kubelet = new FakeKubelet(api.direct, { namespace, node });
    await kubelet.register();
    lives = [];
    await reborn();
  });

  afterEach(async () => {
    await lives.at(-1)?.kill();
    const target = { resource: nodes, name: node };
    const { metadata } = await api.direct.get<KubeObject>(target, forever);
    await api.direct.remove(target, { preconditions: { uid: metadata.uid } }, forever);
  });

  async function reborn(): Promise<void> {
    const life = new OperatorLife(api.credentials);
    lives.push(life);
    await life.begin(namespace);
  }

  const named = (attempt: number, worker: number) => `mnist-${attempt}-${worker}`;
  const namesOf = (attempt: number) => Array.from({ length: size }, (_, worker) => named(attempt, worker));
  const status = async (): Promise<TrainingRunStatus> =>
    (await api.direct.get<Run>({ resource: trainingRuns, namespace, name: "mnist" }, forever)).status ?? {};
  const standing = async () => (await api.direct.list<KubeObject>({ resource: pods, namespace }, {}, forever)).items;

  async function createRun(): Promise<void> {
    const { spec: trained } = templateOf("trainer:1") as { spec: Record<string, unknown> };
    const spec = {
      workers: size,
      // Nobody but the test places its pods.
      template: { spec: { ...trained, schedulerName: "the-test" } },
      checkpoint: { volume: sharedVolume, interval: { steps: 100 } },
      retry: { backoff: { initialSeconds: 1, maxSeconds: 10 } },
    };
    await api.direct.create({ resource: trainingRuns, namespace }, { ...appliedRun("mnist"), spec }, forever);
  }

  async function begun(attempt: number): Promise<void> {
    await until(`all pods of attempt ${attempt} are on record`, async () => {
      const newest = (await status()).attempts?.[0];
      return (newest?.number === attempt && newest.pods.length === size) || undefined;
    });
    for (const name of namesOf(attempt)) await kubelet.start(name);
  }

  async function asked(name: string): Promise<void> {
    await until(`${name} is asked to stop`, async () => {
      const { metadata } = await api.direct.get<KubeObject>({ resource: pods, namespace, name }, forever);
      return metadata.deletionTimestamp ?? undefined;
    });
  }

  /** One worker is evicted; all of them stop at one step, and worker 0's agent has what they saved together. */
  async function strike(): Promise<void> {
    await kubelet.evict(named(1, 1));
    for (const name of namesOf(1)) await asked(name);
    const saved = { kind: "preempted", attempt: 1, step: 70, finalCheckpoint: "Saved", graceUsedSeconds: 1 } as const;
    const trainer = { exitCode: 143, record: { ...saved, checkpoint: digest("a") } };
    const ended = { attempt: 1, resumedFrom: null, lastStep: 70 } as const;
    for (const worker of [2, 1, 0]) {
      const record = served({ ...ended, latestVerified: worker === 0 ? checkpoint(70, 1, "a") : null });
      await kubelet.end(named(1, worker), { trainer, agent: { exitCode: 0, record } });
      await kubelet.release(named(1, worker));
    }
  }

  async function finish(): Promise<void> {
    const done: TrainerRecord = { kind: "done", attempt: 2, step: 100, checkpoint: digest("b"), metrics: [] };
    const last = { attempt: 2, resumedFrom: { step: 70, digest: digest("a"), tier: "Volume" }, lastStep: 100 } as const;
    for (const worker of [1, 2]) {
      await kubelet.end(named(2, worker), { trainer: { exitCode: 0 }, agent: { exitCode: 0, record: served(last) } });
    }
    const record = served({ ...last, latestVerified: checkpoint(100, 2, "b"), done: digest("b") });
    await kubelet.end(named(2, 0), { trainer: { exitCode: 0, record: done }, agent: { exitCode: 0, record } });
    await until("the run is complete", async () => (await status()).state === "Complete" || undefined);
  }

  /** A gang of which one worker is evicted, and that finishes with its second attempt. */
  async function live(): Promise<void> {
    await createRun();
    await begun(1);
    await strike();
    await begun(2);
    await finish();
    await until("the pods of the first attempt are gone", async () => (await standing()).length === size || undefined);
  }

  const isCreation = ({ method, path, status: code }: Seen & { status: number }, kind: string) =>
    method === "POST" && code === 201 && path.endsWith(`/${kind}`);

  async function end(): Promise<unknown> {
    const { attempts, totals, latestVerified } = await status();
    const answered = lives.flatMap(({ proxy }) => proxy.answered);
    return {
      ledger: attempts?.map(({ number, cause, charge, pods: had, resumedFrom, lostSteps }) => ({
        ...{ number, cause, charge, resumedAt: resumedFrom?.step, lostSteps },
        workers: had.map(({ worker }) => worker).sort(),
      })),
      totals: [totals?.attempts, totals?.disruptions, totals?.failures],
      latestVerified: latestVerified?.step,
      created: ["services", "pods"].map((kind) => answered.filter((seen) => isCreation(seen, kind)).length),
      left: (await standing()).map(({ metadata }) => metadata.name).sort(),
    };
  }

  const undisturbed = {
    ledger: [
      { number: 2, cause: "Complete", charge: "Nothing", resumedAt: 70, lostSteps: undefined, workers: [0, 1, 2] },
      { number: 1, cause: "Drained", charge: "Disruption", resumedAt: undefined, lostSteps: 0, workers: [0, 1, 2] },
    ],
    totals: [2, 1, 0],
    latestVerified: 100,
    created: [1, 2 * size],
    left: ["mnist-2-0", "mnist-2-1", "mnist-2-2"],
  };

  it("stops with the first worker that is lost, begins anew as a whole, and finishes by its worker 0", async () => {
    await live();
    expect(await end()).toEqual(undisturbed);
    expect(lives.flatMap(({ errors }) => errors)).toEqual([]);
    const service = await api.direct.get<KubeObject>({ resource: services, namespace, name: "mnist" }, forever);
    expect(service.spec).toMatchObject({ clusterIP: "None", publishNotReadyAddresses: true });
    expect((await standing()).map(({ spec }) => spec)).toEqual(
      namesOf(2).map((hostname) => expect.objectContaining({ hostname, subdomain: "mnist" })),
    );
  });

  it.each([2, 6, 11, 17])("comes to the same end when its operator dies after write %i", async (last) => {
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
