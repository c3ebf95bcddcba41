import type { RunState, TrainingRunStatus } from "../src/api/status.ts";
import { trainingRuns } from "../src/control/caches.ts";
import { isNotFound } from "../src/kubernetes/api-error.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { claims, nodes, pods, type Resource } from "../src/kubernetes/resource.ts";
import type { TestApi } from "./api-server.ts";
import { type End, FakeKubelet } from "./fake-kubelet.ts";
import { OperatorLife } from "./operator-life.ts";
import { checkpoint, served } from "./records.ts";
import { type Fields, specWith } from "./run-builder.ts";
import { until } from "./until.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const forever = { signal: new AbortController().signal };
const run = "mnist";
let drawn = 0;

/**
 * One namespace with one run, an operator of its own, and a kubelet that is played. Nothing but the API server runs
 * beside them: what a garbage collector would take lies there still, and must be free to go.
 */
export class RunPlace {
  readonly namespace = `place-${process.pid}-${++drawn}`;
  readonly node = `${this.namespace}-node`;
  readonly kubelet: FakeKubelet;
  life: OperatorLife;
  readonly #api: TestApi;
  readonly #hasNode: boolean;

  /** `watchNodes`: whether the operator reads nodes; the place then has one that is ready. */
  constructor(api: TestApi, { watchNodes }: Readonly<{ watchNodes: boolean }> = { watchNodes: false }) {
    this.#api = api;
    this.kubelet = new FakeKubelet(api.direct, { namespace: this.namespace, node: this.node });
    this.life = new OperatorLife(api.credentials, { watchNodes });
    this.#hasNode = watchNodes;
  }

  async begin(): Promise<void> {
    await this.#api.direct.create({ resource: namespaces }, { metadata: { name: this.namespace } }, forever);
    if (this.#hasNode) await this.kubelet.register();
    await this.life.begin(this.namespace);
  }

  /** Another operator in the place of the one that ran. */
  async succeed(): Promise<void> {
    await this.life.kill();
    this.life = new OperatorLife(this.#api.credentials, { watchNodes: this.#hasNode });
    await this.life.begin(this.namespace);
  }

  /** Ends the operator, and takes the node away: other files' operators see it as well. */
  async end(): Promise<void> {
    await this.life.kill();
    if (!this.#hasNode) return;
    const target = { resource: nodes, name: this.node };
    const { uid } = (await this.#api.direct.get<KubeObject>(target, forever)).metadata;
    await this.#api.direct.remove(target, { preconditions: { uid } }, forever);
  }

  async create(spec: Fields = {}, name = run): Promise<void> {
    const container = { name: "trainer", image: "trainer:1", command: ["train"] };
    const template = { spec: { schedulerName: "the-test", containers: [container] } };
    const object = {
      apiVersion: "trainingrun.dev/v1alpha1",
      kind: "TrainingRun",
      metadata: { name },
      spec: { ...specWith({ template, ...spec }) },
    };
    await this.#api.direct.create({ resource: trainingRuns, namespace: this.namespace }, object, forever);
  }

  async edit(spec: Fields): Promise<void> {
    await this.#api.direct.mergePatch(this.#target(trainingRuns, run), { spec }, forever);
  }

  /** Labels of any object, changed by hand; null takes one off. */
  async label(resource: Resource, name: string, labels: Readonly<Record<string, string | null>>): Promise<void> {
    await this.#api.direct.mergePatch(this.#target(resource, name), { metadata: { labels } }, forever);
  }

  async delete(): Promise<void> {
    const { metadata } = await this.get(trainingRuns, run);
    await this.#api.direct.remove(this.#target(trainingRuns, run), { preconditions: { uid: metadata.uid } }, forever);
  }

  async status(): Promise<TrainingRunStatus> {
    return ((await this.get(trainingRuns, run)).status ?? {}) as TrainingRunStatus;
  }

  isIn(state: RunState): Promise<unknown> {
    return until(`the run is ${state}`, async () => (await this.status()).state === state || undefined);
  }

  /** A condition of the run gives this reason. */
  says(reason: string): Promise<string> {
    return until(`the run says ${reason}`, async () => {
      const { conditions } = await this.status();
      return conditions?.find((condition) => condition.reason === reason)?.message;
    });
  }

  /** The pods of the attempt stand, and the ledger knows them; the name of the first. */
  async recorded(attempt = 1, workers = 1): Promise<string> {
    await until(`the pods of attempt ${attempt} are on record`, async () => {
      const [entry] = (await this.status()).attempts ?? [];
      return (entry?.number === attempt && entry.pods.length === workers) || undefined;
    });
    return `${run}-${attempt}-0`;
  }

  asked(name: string): Promise<unknown> {
    return until(`${name} is asked to stop`, async () => (await this.get(pods, name)).metadata.deletionTimestamp);
  }

  async finish(name: string, trainer: End, last: Parameters<typeof served>[0] = {}): Promise<void> {
    const record = served({ resumedFrom: null, lastStep: 7, latestVerified: checkpoint(7, 1, "a"), ...last });
    await this.kubelet.end(name, { trainer, agent: { exitCode: 0, record } });
  }

  async isGone(patienceMs = 10_000): Promise<void> {
    const target = this.#target(trainingRuns, run);
    const probe = async () => (await this.#api.direct.get(target, forever).catch(isNotFound)) === true || undefined;
    await until("the run is gone", probe, patienceMs);
  }

  async list(resource: Resource): Promise<readonly KubeObject[]> {
    return (await this.#api.direct.list<KubeObject>({ resource, namespace: this.namespace }, {}, forever)).items;
  }

  /** A claim that is being deleted is held by a finalizer that the cluster's own controller takes off. */
  async keptClaims(): Promise<readonly KubeObject[]> {
    return (await this.list(claims)).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  /** As the namespace's controller does: the object is deleted, whoever holds it still. */
  async sweep(resource: Resource): Promise<void> {
    for (const { metadata } of await this.list(resource)) {
      const exactly = { preconditions: { uid: metadata.uid } };
      await this.#api.direct.remove(this.#target(resource, metadata.name), exactly, forever).catch(unlessGone);
    }
  }

  async terminate(): Promise<void> {
    const target = { resource: namespaces, name: this.namespace };
    const { metadata } = await this.#api.direct.get<KubeObject>(target, forever);
    await this.#api.direct.remove(target, { preconditions: { uid: metadata.uid } }, forever);
  }

  get(resource: Resource, name: string): Promise<KubeObject> {
    return this.#api.direct.get<KubeObject>(this.#target(resource, name), forever);
  }

  #target(resource: Resource, name: string) {
    return { resource, namespace: this.namespace, name };
  }
}

/** Another may have been quicker. */
export function unlessGone(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
