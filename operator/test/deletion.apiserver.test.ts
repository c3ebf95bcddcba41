import { describe, type ExpectStatic, it } from "vitest";
import type { RunState, TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { isNotFound } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims, pods, type Resource } from "../src/kubernetes/resource.ts";
import { until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { type End, FakeKubelet } from "./fake-kubelet.ts";
import { OperatorLife } from "./operator-life.ts";
import { checkpoint, digest, served } from "./records.ts";
import { type Fields, specWith } from "./run-builder.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const api = useApiServer(installTrainingRuns);
let drawn = 0;

/* Nothing but the API server runs here: what a garbage collector would take lies there still, and must be free to go. */

/** One namespace with one run, an operator of its own, and a kubelet that is played. */
class Place {
  readonly namespace = `deletion-${process.pid}-${++drawn}`;
  readonly kubelet = new FakeKubelet(api.direct, { namespace: this.namespace, node: `${this.namespace}-node` });
  readonly life = new OperatorLife(api.credentials, { watchNodes: false });

  async begin(): Promise<void> {
    await api.direct.create({ resource: namespaces }, { metadata: { name: this.namespace } }, forever);
    await this.life.begin(this.namespace);
  }

  async create(spec: Fields = {}): Promise<void> {
    const container = { name: "trainer", image: "trainer:1", command: ["train"] };
    const template = { spec: { schedulerName: "the-test", containers: [container] } };
    const object = {
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      metadata: { name: "mnist" },
      spec: { ...specWith({ template, ...spec }) },
    };
    await api.direct.create({ resource: trainingRuns, namespace: this.namespace }, object, forever);
  }

  async edit(spec: Fields): Promise<void> {
    await api.direct.mergePatch(this.#target(trainingRuns, "mnist"), { spec }, forever);
  }

  async delete(): Promise<void> {
    const { metadata } = await this.#get(trainingRuns, "mnist");
    await api.direct.remove(this.#target(trainingRuns, "mnist"), { preconditions: { uid: metadata.uid } }, forever);
  }

  async status(): Promise<TrainingRunStatus> {
    return ((await this.#get(trainingRuns, "mnist")).status ?? {}) as TrainingRunStatus;
  }

  isIn(state: RunState): Promise<unknown> {
    return until(`the run is ${state}`, async () => (await this.status()).state === state || undefined);
  }

  /** The pod stands, and the ledger knows it. */
  async recorded(attempt = 1): Promise<string> {
    await until(`the pod of attempt ${attempt} is on record`, async () => {
      const [entry] = (await this.status()).attempts ?? [];
      return (entry?.number === attempt && entry.pods.length > 0) || undefined;
    });
    return `mnist-${attempt}-0`;
  }

  asked(name: string): Promise<unknown> {
    return until(`${name} is asked to stop`, async () => (await this.#get(pods, name)).metadata.deletionTimestamp);
  }

  async end(name: string, trainer: End, last: Parameters<typeof served>[0] = {}): Promise<void> {
    const record = served({ resumedFrom: null, lastStep: 7, latestVerified: checkpoint(7, 1, "a"), ...last });
    await this.kubelet.end(name, { trainer, agent: { exitCode: 0, record } });
  }

  async isGone(): Promise<void> {
    const target = this.#target(trainingRuns, "mnist");
    await until("the run is gone", async () => {
      return (await api.direct.get(target, forever).catch(isNotFound)) === true || undefined;
    });
  }

  async list(resource: Resource): Promise<readonly KubeObject[]> {
    return (await api.direct.list<KubeObject>({ resource, namespace: this.namespace }, {}, forever)).items;
  }

  /** As the namespace's controller does: the object is deleted, whoever holds it still. */
  async sweep(resource: Resource): Promise<void> {
    for (const { metadata } of await this.list(resource)) {
      const exactly = { preconditions: { uid: metadata.uid } };
      await api.direct.remove(this.#target(resource, metadata.name), exactly, forever).catch(unlessGone);
    }
  }

  async terminate(): Promise<void> {
    const target = { resource: namespaces, name: this.namespace };
    const { metadata } = await api.direct.get<KubeObject>(target, forever);
    await api.direct.remove(target, { preconditions: { uid: metadata.uid } }, forever);
  }

  #get(resource: Resource, name: string): Promise<KubeObject> {
    return api.direct.get<KubeObject>(this.#target(resource, name), forever);
  }

  #target(resource: Resource, name: string) {
    return { resource, namespace: this.namespace, name };
  }
}

/** What the garbage collector finds: the claim, and ended pods that nobody holds. */
async function expectFree(expect: ExpectStatic, place: Place, claimsLeft: number): Promise<void> {
  for (const { metadata } of await place.list(pods)) {
    expect([metadata.name, metadata.finalizers ?? []]).toEqual([metadata.name, []]);
    expect(metadata.ownerReferences).toMatchObject([{ kind: "TrainingRun", name: "mnist", controller: true }]);
  }
  expect(await keptClaims(place)).toHaveLength(claimsLeft);
  expect(place.life.errors).toEqual([]);
}

/** A claim that is being deleted is held by a finalizer that the cluster's own controller takes off. */
async function keptClaims(place: Place): Promise<readonly KubeObject[]> {
  return (await place.list(claims)).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
}

/** Another may have been quicker. */
function unlessGone(error: unknown): void {
  if (!isNotFound(error)) throw error;
}

const crashed: End = { exitCode: 1 };
const preempted: End = {
  exitCode: 143,
  record: {
    kind: "preempted",
    attempt: 1,
    step: 7,
    finalCheckpoint: "Saved",
    checkpoint: digest("a"),
    graceUsedSeconds: 1,
  },
};
const done: End = {
  exitCode: 0,
  record: { kind: "done", attempt: 1, step: 100, checkpoint: digest("a"), metrics: [] },
};
const slowly = { retry: { failures: 3, backoff: { initialSeconds: 3600, maxSeconds: 3600 } } };

/** A phase of a run's life, how it comes to it, and whether a pod has to end before it goes. */
type Phase = Readonly<{
  name: string;
  reach: (place: Place) => Promise<void>;
  podsToEnd: readonly string[];
  claimsLeft: number;
}>;

async function running(place: Place, spec: Fields = {}): Promise<string> {
  await place.create(spec);
  const name = await place.recorded();
  await place.kubelet.start(name);
  return name;
}

const phases: readonly Phase[] = [
  {
    name: "Pending, its pod not scheduled yet",
    reach: async (place) => {
      await place.create();
      await place.recorded();
      await place.isIn("Pending");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
  {
    name: "Blocked, for want of its claim",
    reach: async (place) => {
      await place.create({ checkpoint: { volume: { claimName: "not-there" } } });
      await until("the run says what it waits for", async () => {
        const { conditions } = await place.status();
        return conditions?.some(({ reason }) => reason === "ClaimMissing") || undefined;
      });
    },
    podsToEnd: [],
    claimsLeft: 0,
  },
  {
    name: "Restoring",
    reach: async (place) => {
      await running(place);
      await place.isIn("Restoring");
    },
    podsToEnd: ["mnist-1-0"],
    claimsLeft: 1,
  },
  {
    name: "Saving, because it was suspended",
    reach: async (place) => {
      const name = await running(place);
      await place.edit({ suspend: true });
      await place.asked(name);
      await place.isIn("Saving");
    },
    podsToEnd: ["mnist-1-0"],
    claimsLeft: 1,
  },
  {
    name: "Suspended",
    reach: async (place) => {
      const name = await running(place);
      await place.edit({ suspend: true });
      await place.asked(name);
      await place.end(name, preempted);
      await place.kubelet.release(name);
      await place.isIn("Suspended");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
  {
    name: "Backoff",
    reach: async (place) => {
      await place.end(await running(place, slowly), crashed);
      await place.isIn("Backoff");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
  {
    name: "Complete",
    reach: async (place) => {
      await place.end(await running(place), done, { done: digest("a") });
      await place.isIn("Complete");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
  {
    name: "Failed",
    reach: async (place) => {
      await place.end(await running(place, { retry: { failures: 0 } }), crashed);
      await place.isIn("Failed");
    },
    podsToEnd: [],
    claimsLeft: 1,
  },
];

describe.concurrent("a run that is deleted while it is", () => {
  it.for(phases)("$name goes, and holds nothing back (L5)", async ({ reach, podsToEnd, claimsLeft }, context) => {
    const { expect, onTestFinished } = context;
    const place = new Place();
    await place.begin();
    onTestFinished(() => place.life.kill());
    await reach(place);
    await place.delete();
    for (const name of podsToEnd) {
      await place.asked(name);
      expect((await place.list(trainingRuns)).map(({ metadata }) => metadata.name)).toEqual(["mnist"]);
      await place.end(name, preempted);
      await place.kubelet.release(name);
    }
    await place.isGone();
    await expectFree(expect, place, claimsLeft);
  });
});

describe.concurrent("a namespace that is deleted under a living run", () => {
  const orders = [
    { first: trainingRuns, second: pods },
    { first: pods, second: trainingRuns },
  ] as const;
  it.for(orders)("is emptied, $first.plural first: nobody waits for what cannot come", async (order, context) => {
    const { first, second } = order;
    const { expect, onTestFinished } = context;
    const place = new Place();
    await place.begin();
    onTestFinished(() => place.life.kill());
    const name = await running(place);
    await place.terminate();
    await place.sweep(first);
    await place.asked(name);
    await place.end(name, preempted);
    await place.sweep(second);
    await place.kubelet.release(name).catch(unlessGone);
    await place.sweep(claims);
    await place.isGone();
    await until("no pod is left", async () => (await place.list(pods)).length === 0 || undefined);
    expect(await keptClaims(place)).toEqual([]);
  });
});

describe.concurrent("a run that has ended with ttlSecondsAfterFinished", () => {
  it.for([
    ["keeps", "Retain", 1],
    ["takes", "Delete", 0],
  ] as const)("is deleted by itself, and %s its claim", async ([_, deletionPolicy, left], context) => {
    const { expect, onTestFinished } = context;
    const place = new Place();
    await place.begin();
    onTestFinished(() => place.life.kill());
    await place.end(await running(place, { ttlSecondsAfterFinished: 1, deletionPolicy }), done, { done: digest("a") });
    await place.isGone();
    await expectFree(expect, place, left);
  });
});
