import type { CheckpointSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { Operator } from "../src/control/operator.ts";
import { decide } from "../src/core/decide.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims, events, nodes, pods } from "../src/kubernetes/resource.ts";
import { credentialsOf, type TestApiServer, testApiServer, testClient, until } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { FakeKubelet } from "./fake-kubelet.ts";
import { FaultProxy, type Seen } from "./fault-proxy.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const settings = { agentImage: "agent:1", agentImagePullPolicy: "IfNotPresent", agentResources: {} } as const;

type Run = KubeObject & Readonly<{ status?: TrainingRunStatus }>;

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const checkpoint = (step: number, attempt: number, letter: string): CheckpointSummary => ({
  step,
  attempt,
  digest: digest(letter),
  bytes: 10,
  time: "2026-01-01T00:00:00Z",
  tiers: ["Volume"],
  metrics: [],
});
const served = (over: Partial<Extract<AgentRecord, { kind: "served" }>>): AgentRecord => ({
  kind: "served",
  attempt: 1,
  best: null,
  done: null,
  refused: [],
  verificationFailures: 0,
  latestVerified: null,
  restoreSeconds: 0.1,
  ...over,
});

let server: TestApiServer;
let directCredentials: Credentials;
let direct: ApiClient;
let drawn = 0;

beforeAll(async () => {
  server = await testApiServer();
  directCredentials = credentialsOf(server.kubeconfigPath);
  direct = testClient(directCredentials);
  await installTrainingRuns(direct);
});

afterAll(async () => {
  await directCredentials.close();
  await server.stop();
});

/** One operator behind a proxy of its own, so that it can be cut off as a killed process is. */
class Life {
  readonly proxy = new FaultProxy(directCredentials);
  readonly errors: unknown[] = [];
  #credentials: Credentials | undefined;
  readonly #stop = new AbortController();
  #running: Promise<void> = Promise.resolve();

  async begin(namespace: string): Promise<void> {
    this.#credentials = credentialsOf(await this.proxy.start());
    const operator = new Operator({
      client: testClient(this.#credentials),
      decide: (observed) => decide(observed, settings),
      namespaces: [namespace],
      watchNodes: true,
      workers: 2,
      instance: "test",
      probeIntervalMs: 60_000,
      log: () => undefined,
      onPass: (_, { error }) => {
        if (error !== undefined && !this.proxy.isCut) this.errors.push(error);
      },
      onAttemptEnded: () => undefined,
      onWatchError: () => undefined,
      timing: { backoff: { firstMs: 20, maxMs: 200 } },
    });
    this.#running = operator.run(this.#stop.signal);
  }

  /** Ends it without a last word: nothing that it still says is heard. */
  async kill(): Promise<void> {
    this.proxy.cut();
    this.#stop.abort(new Error("killed"));
    await this.#running;
    await this.#credentials?.close();
    await this.proxy.stop();
  }
}

describe("the operator on a real API server, with pods whose fate is played", () => {
  let namespace: string;
  let node: string;
  let kubelet: FakeKubelet;
  let life: Life;
  let lives: Life[];

  beforeEach(begin);
  afterEach(leave);

  /** A namespace and a node of their own, and an operator that serves them. */
  async function begin(): Promise<void> {
    drawn += 1;
    namespace = `operator-${process.pid}-${drawn}`;
    node = `${namespace}-node`;
    await direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    kubelet = new FakeKubelet(direct, { namespace, node });
    await kubelet.register();
    lives = [];
    await reborn();
  }

  async function leave(): Promise<void> {
    await life.kill();
    await direct.remove({ resource: nodes, name: node }, await exactly({ resource: nodes, name: node }), forever);
  }

  async function exactly(target: Parameters<ApiClient["get"]>[0]) {
    return { preconditions: { uid: (await direct.get<KubeObject>(target, forever)).metadata.uid } };
  }

  async function reborn(): Promise<void> {
    life = new Life();
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
    await direct.create({ resource: trainingRuns, namespace }, run, forever);
  }

  const target = (resource: Parameters<ApiClient["get"]>[0]["resource"], name: string) => ({
    resource,
    namespace,
    name,
  });
  const status = async (): Promise<TrainingRunStatus> =>
    (await direct.get<Run>(target(trainingRuns, "mnist"), forever)).status ?? {};
  const podNames = async () =>
    (await direct.list<KubeObject>({ resource: pods, namespace }, {}, forever)).items.map(
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
    const { items } = await direct.list<KubeObject>({ resource: claims, namespace }, {}, forever);
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
    const { items } = await direct.list<KubeObject>({ resource: events, namespace }, query, forever);
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
});
