import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { isNotFound } from "../src/kubernetes/api-error.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims, events, nodes, pods } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FakeKubelet } from "./fake-kubelet.ts";
import type { Seen } from "./fault-proxy.ts";
import { OperatorLife } from "./operator-life.ts";
import { checkpoint, digest, served } from "./records.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };

type Run = KubeObject & Readonly<{ status?: TrainingRunStatus }>;

const api = useApiServer(installTrainingRuns);
let drawn = 0;

describe("the operator on a real API server, with pods whose fate is played", () => {
  let namespace: string;
  let node: string;
  let kubelet: FakeKubelet;
  let life: OperatorLife;
  let lives: OperatorLife[];

  beforeEach(begin);
  afterEach(leave);

  /** A namespace and a node of their own, and an operator that serves them. */
  async function begin(): Promise<void> {
    drawn += 1;
    namespace = `operator-${process.pid}-${drawn}`;
    node = `${namespace}-node`;
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    kubelet = new FakeKubelet(api.direct, { namespace, node });
    await kubelet.register();
    lives = [];
    await reborn();
  }

  async function leave(): Promise<void> {
    await life.kill();
    await api.direct.remove({ resource: nodes, name: node }, await exactly({ resource: nodes, name: node }), forever);
  }

  async function exactly(target: Parameters<ApiClient["get"]>[0]) {
    return { preconditions: { uid: (await api.direct.get<KubeObject>(target, forever)).metadata.uid } };
  }

  async function reborn(): Promise<void> {
    life = new OperatorLife(api.credentials);
    lives.push(life);
    await life.begin(namespace);
  }

  async function restart(): Promise<void> {
    await life.kill();
    await reborn();
  }

  async function createRun(spec: Record<string, unknown> = {}): Promise<void> {
    const run = {
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      metadata: { name: "mnist" },
      spec: {
        template: {
          spec: {
            schedulerName: "the-test",
            containers: [{ name: "trainer", image: "trainer:1", command: ["train"] }],
          },
        },
        checkpoint: {
          volume: { claimTemplate: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } } },
          interval: { steps: 100 },
        },
        ...spec,
      },
    };
    await api.direct.create({ resource: trainingRuns, namespace }, run, forever);
  }

  const target = (resource: Parameters<ApiClient["get"]>[0]["resource"], name: string) => ({
    resource,
    namespace,
    name,
  });
  const status = async (): Promise<TrainingRunStatus> =>
    (await api.direct.get<Run>(target(trainingRuns, "mnist"), forever)).status ?? {};
  const podNames = async () =>
    (await api.direct.list<KubeObject>({ resource: pods, namespace }, {}, forever)).items.map(
      ({ metadata }) => metadata.name,
    );

  const podExists = (name: string) =>
    until(`pod ${name} exists`, async () => (await podNames()).includes(name) || undefined);
  const podRecorded = (attempt: number) =>
    until(`the pod of attempt ${attempt} is on record`, async () => {
      const newest = (await status()).attempts?.[0];
      return (newest?.number === attempt && newest.pods.length > 0) || undefined;
    });
  const stateIs = (state: string) =>
    until(`the run is ${state}`, async () => (await status()).state === state || undefined);

  /** The whole life of a run; `between` is called at every quiet moment. */
  const steps: readonly (() => Promise<void>)[] = [
    () => createRun(),
    async () => {
      await podExists("mnist-1-0");
      await podRecorded(1);
      await kubelet.start("mnist-1-0");
    },
    () => kubelet.evict("mnist-1-0"),
    async () => {
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
        agent: {
          exitCode: 0,
          record: served({ attempt: 1, resumedFrom: null, lastStep: 70, latestVerified: checkpoint(70, 1, "a") }),
        },
      });
    },
    () => kubelet.release("mnist-1-0"),
    async () => {
      await podExists("mnist-2-0");
      await podRecorded(2);
      await kubelet.start("mnist-2-0");
    },
    async () => {
      const resumedFrom = { step: 70, digest: digest("a"), tier: "Volume" } as const;
      await kubelet.end("mnist-2-0", {
        trainer: { exitCode: 0, record: { kind: "done", attempt: 2, step: 100, checkpoint: digest("b"), metrics: [] } },
        agent: {
          exitCode: 0,
          record: served({
            attempt: 2,
            resumedFrom,
            lastStep: 100,
            latestVerified: checkpoint(100, 2, "b"),
            done: digest("b"),
          }),
        },
      });
    },
    async () => {
      await stateIs("Complete");
    },
  ];

  async function live(between: () => Promise<void>): Promise<void> {
    for (const step of steps) {
      await step();
      await between();
    }
    // The pod of the attempt that was evicted goes once it is accounted for.
    await until("the evicted pod is released", async () => !(await podNames()).includes("mnist-1-0") || undefined);
  }

  /** What must be the same however the operator fared. */
  async function end(): Promise<unknown> {
    const { state, attempt, attempts, retry, totals, latestVerified } = await status();
    const { items } = await api.direct.list<KubeObject>({ resource: claims, namespace }, {}, forever);
    const created = lives.flatMap(({ proxy }) => proxy.answered).filter(isCreated);
    return {
      state,
      attempt,
      ledger: attempts?.map(
        ({ number, cause, charge, reason, exitCode, resumedFrom, lastStep, lostSteps, finalCheckpoint }) => ({
          number,
          cause,
          charge,
          reason,
          exitCode,
          resumedFrom,
          lastStep,
          lostSteps,
          finalCheckpoint,
        }),
      ),
      failuresLeft: retry?.failuresLeft,
      disruptions: totals?.disruptions,
      failures: totals?.failures,
      latestVerified: latestVerified?.step,
      claims: items.length,
      podsCreated: created.filter(({ path }) => path.endsWith("/pods")).length,
      podsLeft: await podNames(),
    };
  }

  const isCreated = (seen: Seen & { status: number }) => seen.method === "POST" && seen.status === 201;
  const isWrite = (seen: Seen) => seen.method !== "GET" && !seen.path.includes("/events");

  const undisturbed = {
    state: "Complete",
    attempt: 2,
    ledger: [
      {
        number: 2,
        cause: "Complete",
        charge: "Nothing",
        reason: "Done",
        exitCode: undefined,
        resumedFrom: { step: 70, digest: digest("a"), tier: "Volume" },
        lastStep: 100,
        lostSteps: undefined,
        finalCheckpoint: "Saved",
      },
      {
        number: 1,
        cause: "Drained",
        charge: "Disruption",
        reason: "EvictionByEvictionAPI",
        exitCode: 143,
        resumedFrom: undefined,
        lastStep: 70,
        lostSteps: 0,
        finalCheckpoint: "Saved",
      },
    ],
    failuresLeft: 3,
    disruptions: 1,
    failures: 0,
    latestVerified: 100,
    claims: 1,
    podsCreated: 2,
    podsLeft: ["mnist-2-0"],
  };

  it("brings a run through an eviction to its end", async () => {
    await live(async () => undefined);
    expect(await end()).toEqual(undisturbed);
    expect(life.errors).toEqual([]);
    const query = { fieldSelector: "reason=AttemptStarted" };
    const { items } = await api.direct.list<KubeObject>({ resource: events, namespace }, query, forever);
    expect(items.length).toBe(2);
  });

  it("comes to the same end when it is killed at every quiet moment", async () => {
    await live(restart);
    expect(await end()).toEqual(undisturbed);
  });

  /** One life that is cut off after a write; false where it never came to that write. */
  async function diesAfterWrite(last: number): Promise<boolean> {
    const first = life;
    let writes = 0;
    const isLast = (seen: Seen) => {
      if (isWrite(seen)) writes += 1;
      return isWrite(seen) && writes === last;
    };
    first.proxy.fail(isLast, { kind: "LoseAnswerForGood" });
    let second: Promise<void> | undefined;
    const nurse = setInterval(() => {
      if (first.proxy.isCut) second ??= restart();
    }, 20);
    try {
      await live(async () => undefined);
    } finally {
      clearInterval(nurse);
      await second;
    }
    return first.proxy.isCut;
  }

  it("comes to the same end when it is killed after any single write, with the answer lost", async () => {
    for (let last = 1; ; last += 1) {
      const died = await diesAfterWrite(last);
      expect(await end(), `killed after write ${last}`).toEqual(undisturbed);
      if (!died) {
        expect(last, "writes of a whole life").toBeGreaterThan(10);
        return;
      }
      await leave();
      await begin();
    }
  }, 240_000);

  it("says why the API server refuses a pod, in its words, and tries again without a storm", async () => {
    await createRun({
      template: { spec: { containers: [{ name: "trainer", image: "trainer:1", ports: [{ containerPort: 70_000 }] }] } },
    });
    const words = await until("the refusal is told", async () => {
      const progressing = (await status()).conditions?.find(({ type }) => type === "Progressing");
      return progressing?.message.includes("containerPort") ? progressing.message : undefined;
    });
    expect(words).toContain("must be between 1 and 65535");
    const tries = () =>
      life.proxy.answered.filter(({ method, path }) => method === "POST" && path.endsWith("/pods")).length;
    const before = tries();
    await restart();
    await until("the new operator has tried, too", () => tries() > 0 || undefined);
    expect(before).toBeLessThan(4);
    expect((await status()).attempt).toBe(1);
  });

  it("leaves alone another's pod that has the name, and says so", async () => {
    const foreign = {
      metadata: { name: "mnist-1-0" },
      spec: { schedulerName: "the-test", containers: [{ name: "c", image: "i" }] },
    };
    const { metadata } = await api.direct.create<KubeObject>({ resource: pods, namespace }, foreign, forever);
    await createRun();
    await until(
      "the refusal is told",
      async () =>
        (await status()).conditions?.some(
          ({ type, message }) => type === "Progressing" && message.includes("another object has that name"),
        ) || undefined,
    );
    const now = await api.direct.get<KubeObject>(target(pods, "mnist-1-0"), forever);
    expect([now.metadata.uid, now.metadata.resourceVersion]).toEqual([metadata.uid, metadata.resourceVersion]);
  });

  it("follows with the next attempt when a recorded pod is gone without a trace, and never makes it again", async () => {
    await createRun({ retry: { backoff: { initialSeconds: 1, maxSeconds: 10 } } });
    await podExists("mnist-1-0");
    await podRecorded(1);
    await kubelet.start("mnist-1-0");
    await life.kill();
    await api.direct.mergePatch(target(pods, "mnist-1-0"), { metadata: { finalizers: null } }, forever);
    await kubelet.release("mnist-1-0");
    await api.direct.remove({ resource: nodes, name: node }, await exactly({ resource: nodes, name: node }), forever);
    await reborn();
    await podExists("mnist-2-0");
    await kubelet.register();
    expect((await status()).attempts?.map(({ number, charge }) => [number, charge])).toEqual([
      [2, undefined],
      [1, "Disruption"],
    ]);
    expect(await podNames()).toEqual(["mnist-2-0"]);
  });

  it("lets a deleted run go once its pod has saved and ended, and keeps its claim", async () => {
    await createRun();
    await podExists("mnist-1-0");
    await podRecorded(1);
    await kubelet.start("mnist-1-0");
    await api.direct.remove(target(trainingRuns, "mnist"), await exactly(target(trainingRuns, "mnist")), forever);
    await until("the pod is asked to stop", async () => {
      const { metadata } = await api.direct.get<KubeObject>(target(pods, "mnist-1-0"), forever);
      return metadata.deletionTimestamp;
    });
    await restart();
    expect(
      (await api.direct.get<Run>(target(trainingRuns, "mnist"), forever)).metadata.deletionTimestamp,
    ).toBeDefined();
    await kubelet.end("mnist-1-0", {
      trainer: {
        exitCode: 143,
        record: {
          kind: "preempted",
          attempt: 1,
          step: 7,
          finalCheckpoint: "Saved",
          checkpoint: digest("a"),
          graceUsedSeconds: 1,
        },
      },
      agent: { exitCode: 0, record: served({ lastStep: 7, resumedFrom: null, latestVerified: checkpoint(7, 1, "a") }) },
    });
    await kubelet.release("mnist-1-0");
    const gone = async (name: string, resource: Parameters<typeof target>[0]) =>
      (await api.direct.get(target(resource, name), forever).catch(isNotFound)) === true || undefined;
    await until("the pod is gone", () => gone("mnist-1-0", pods));
    await until("the run is gone", () => gone("mnist", trainingRuns));
    expect((await api.direct.list<KubeObject>({ resource: claims, namespace }, {}, forever)).items.length).toBe(1);
  });
});
