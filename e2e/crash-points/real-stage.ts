import type { TrainingRunStatus } from "@trainingrun/operator/api/status.ts";
import { trainingRuns } from "@trainingrun/operator/control/caches.ts";
import { isNotFound } from "@trainingrun/operator/kubernetes/api-error.ts";
import type { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import type { Credentials } from "@trainingrun/operator/kubernetes/credentials.ts";
import type { KubeObject } from "@trainingrun/operator/kubernetes/kube-object.ts";
import { claims, nodes, pods, type Resource, type Target } from "@trainingrun/operator/kubernetes/resource.ts";
import { FakeKubelet } from "../../operator/test/fake-kubelet.ts";
import { until } from "../../operator/test/until.ts";
import type { Cut, ScriptEnd } from "./cut.ts";
import { RealOperators } from "./real-operators.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const patienceMs = 90_000;
const runName = "mnist";

/** The administrator's way to an API server. */
export type Access = Readonly<{ client: ApiClient; credentials: Credentials }>;

type Run = KubeObject & Readonly<{ status?: TrainingRunStatus }>;

/** What a stage is for: how many operators serve it, and which of their writes is cut. */
export type StageOptions = Readonly<{ namespace: string; cut: Cut | null; operators: 1 | 2 }>;

/** A namespace on a real API server with two nodes, a run, and operators that serve it; kubelets are played. */
export class RealStage {
  readonly operators: RealOperators;
  /** The kubelet of the node that the first pods are bound to, and that of another one. */
  readonly kubelet: FakeKubelet;
  readonly other: FakeKubelet;
  readonly #client: ApiClient;
  readonly #namespace: string;
  readonly #nodes: readonly [string, string];

  private constructor({ client, credentials }: Access, { namespace, cut, operators }: StageOptions) {
    this.#client = client;
    this.#namespace = namespace;
    this.#nodes = [`${namespace}-node-a`, `${namespace}-node-b`];
    const [first, second] = this.#nodes.map((node) => new FakeKubelet(client, { namespace, node }));
    if (first === undefined || second === undefined) throw new RangeError("Cannot play without two nodes");
    this.kubelet = first;
    this.other = second;
    this.operators = new RealOperators(credentials, { namespace, cut, count: operators });
  }

  /** Makes it all; returns once the operators run. */
  static async begin(access: Access, options: StageOptions): Promise<RealStage> {
    const stage = new RealStage(access, options);
    await access.client.create({ resource: namespaces }, { metadata: { name: options.namespace } }, forever);
    await stage.kubelet.register();
    await stage.other.register();
    await stage.operators.begin();
    return stage;
  }

  /** Ends the operators, and removes what is not the namespace's. */
  async leave(): Promise<void> {
    await this.operators.end();
    for (const name of this.#nodes) await this.#remove({ resource: nodes, name });
  }

  async createRun(spec: Readonly<Record<string, unknown>>): Promise<void> {
    const template = {
      spec: { schedulerName: "the-play", containers: [{ name: "trainer", image: "trainer:1", command: ["train"] }] },
    };
    const run = {
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      metadata: { name: runName },
      spec: { template, ...spec },
    };
    await this.#client.create({ resource: trainingRuns, namespace: this.#namespace }, run, forever);
  }

  async editRun(spec: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#client.mergePatch(this.#target(trainingRuns, runName), { spec }, forever);
  }

  async deleteRun(): Promise<void> {
    await this.#remove(this.#target(trainingRuns, runName));
  }

  /** The name of the pod of an attempt, or of its worker 0, once it is there and on record. */
  async podOf(attempt: number): Promise<string> {
    const [name = ""] = await this.gangOf(attempt, 1);
    return name;
  }

  /** The names of the pods of an attempt with so many workers, in their order, once all are there and on record. */
  async gangOf(attempt: number, workers: number): Promise<readonly string[]> {
    const names = Array.from({ length: workers }, (_, worker) => `${runName}-${attempt}-${worker}`);
    await this.#until(`${names} are on record`, async () => {
      const newest = (await this.#status()).attempts?.[0];
      const isRecorded = newest?.number === attempt && newest.pods.length >= workers;
      const there = isRecorded ? await this.#pods() : new Map();
      return names.every((name) => there.has(name)) || undefined;
    });
    return names;
  }

  /** The name of the pod that removes the objects of the run. */
  async removalPod(): Promise<string> {
    return await this.#until("there is a pod that removes objects", async () =>
      [...(await this.#pods()).keys()].find((name) => name.startsWith(`${runName}-delete-`)),
    );
  }

  /** Returns when the operator has asked a pod to stop. */
  async isStopped(pod: string): Promise<void> {
    await this.#until(`${pod} is asked to stop`, async () => (await this.#pods()).get(pod)?.metadata.deletionTimestamp);
  }

  async isGone(pod: string): Promise<void> {
    await this.#until(`${pod} is gone`, async () => !(await this.#pods()).has(pod) || undefined);
  }

  async stateIs(state: string): Promise<void> {
    await this.#until(`the run is ${state}`, async () => (await this.#state()) === state || undefined);
  }

  /** Nothing is heard any more of the first node, as its controller says. */
  async loseNode(): Promise<void> {
    const [name] = this.#nodes;
    const lastTransitionTime = new Date().toISOString().replace(/\.\d+/, "");
    const condition = { type: "Ready", status: "Unknown", reason: "NodeStatusUnknown", lastTransitionTime };
    const target = { resource: nodes, name, subresource: "status" };
    await this.#client.mergePatch(target, { status: { conditions: [condition] } }, forever);
  }

  /** State, ledger, counts and objects, as far as no cut may change them. */
  async look(): Promise<Readonly<{ attempts: number; end: ScriptEnd }>> {
    const { attempt, attempts, retry, totals, latestVerified, observedGeneration } = await this.#status();
    const found = await this.#client.list<KubeObject>({ resource: claims, namespace: this.#namespace }, {}, forever);
    const end = {
      state: await this.#state(),
      attempt,
      ledger: attempts?.map(({ number, cause, charge, reason, exitCode, resumedFrom, lastStep, finalCheckpoint }) => {
        return { number, cause, charge, reason, exitCode, resumedFrom, lastStep, finalCheckpoint };
      }),
      failuresLeft: retry?.failuresLeft,
      totals: { attempts: totals?.attempts, failures: totals?.failures, disruptions: totals?.disruptions },
      latestVerified: latestVerified?.step,
      observedGeneration,
      // Its protection is taken off by a controller that does not run here.
      claims: found.items.filter(({ metadata }) => metadata.deletionTimestamp === undefined).length,
      pods: [...(await this.#pods()).keys()].map((name) => name.replace(/-delete-.*/, "-delete")).toSorted(),
      created: this.operators.created,
      deleted: this.operators.deleted,
    };
    return { attempts: totals?.attempts ?? 0, end };
  }

  async #state(): Promise<string> {
    const run = await this.#run();
    return run === undefined ? "Deleted" : (run.status?.state ?? "New");
  }

  async #status(): Promise<TrainingRunStatus> {
    return (await this.#run())?.status ?? {};
  }

  async #run(): Promise<Run | undefined> {
    try {
      return await this.#client.get<Run>(this.#target(trainingRuns, runName), forever);
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  async #pods(): Promise<ReadonlyMap<string, KubeObject>> {
    const { items } = await this.#client.list<KubeObject>({ resource: pods, namespace: this.#namespace }, {}, forever);
    return new Map(items.map((pod) => [pod.metadata.name, pod]));
  }

  async #remove(target: Target): Promise<void> {
    const { uid } = (await this.#client.get<KubeObject>(target, forever)).metadata;
    await this.#client.remove(target, { preconditions: { uid } }, forever);
  }

  #target(resource: Resource, name: string) {
    return { resource, namespace: this.#namespace, name };
  }

  async #until<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
    return await until(`${what} in ${this.#namespace}`, probe, patienceMs);
  }
}
