import { labels } from "@trainingrun/operator/api/names.ts";
import { claims, pods, type Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import { namespaces } from "./api/built-in-kinds.ts";
import type { ModelApi } from "./api/model-api.ts";
import type { Fields, StoredObject } from "./api/object.ts";
import type { PlayWorld } from "./play-world.ts";
import { metadataOf, specOf } from "./run-spec.ts";

const somebody = { role: "User", name: "somebody" } as const;
const foreignUid = "00000000-0000-4000-8000-00000000beef";

/** The people who have runs, and do to them what people do. */
export class User {
  readonly #world: PlayWorld;

  constructor(world: PlayWorld) {
    this.#world = world;
  }

  /** Lets a person do something at the API server. */
  does<T>(act: (api: ModelApi) => T): T {
    const { acting, api } = this.#world;
    return acting.by(somebody, () => act(api));
  }

  create(resource: Resource, body: Fields, namespace?: string): StoredObject {
    const target = namespace === undefined ? { resource } : { resource, namespace };
    return this.does((api) => api.create(target, body).object);
  }

  /** Creates a run of the scenario. */
  createRun(name: string): StoredObject {
    const { runs } = this.#world;
    const scenario = this.#world.scenarioOf(name);
    return this.create(runs, { metadata: metadataOf(scenario), spec: specOf(scenario) }, scenario.namespace);
  }

  /** Makes what looks like a part of the run and is none: a pod beside its own, and a claim of another run's. */
  createDecoys(name: string): void {
    const { namespace } = this.#world.scenarioOf(name);
    const { uid } = this.#world.run(name)?.metadata ?? {};
    const carried = { [labels.run]: name, [labels.attempt]: "1", [labels.worker]: "0" };
    const metadata = { name: decoyName(name) };
    const spec = { schedulingGates: [{ name: "example.com/never" }], containers: [{ name: "trainer", image: "any" }] };
    this.create(pods, { metadata: { ...metadata, labels: { ...carried, [labels.runUid]: uid } }, spec }, namespace);
    const claim = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
    const foreign = { [labels.run]: name, [labels.runUid]: foreignUid };
    this.create(claims, { metadata: { ...metadata, labels: foreign }, spec: claim }, namespace);
  }

  /** Edits the spec of a run, where there is one. */
  edit(name: string, spec: Fields): void {
    this.#patchRun(name, { spec });
  }

  annotate(name: string, annotations: Fields): void {
    this.#patchRun(name, { metadata: { annotations } });
  }

  relabel(name: string, change: Fields): void {
    this.#patchRun(name, { metadata: { labels: change } });
  }

  /** Deletes a run, where there is one. */
  deleteRun(name: string): void {
    const run = this.#world.run(name);
    if (run === undefined) return;
    const { namespace, uid } = run.metadata;
    this.does((api) => api.remove({ resource: this.#world.runs, namespace, name }, { uid }));
  }

  /** The namespace of a name, where somebody may still make something in it. */
  namespace(name: string): StoredObject | undefined {
    const found = this.#world.api.store.get(namespaces, name)?.object;
    return found?.metadata.deletionTimestamp === undefined ? found : undefined;
  }

  /** Deletes a namespace with all that is in it, where there is one. */
  deleteNamespace(name: string): void {
    const uid = this.namespace(name)?.metadata.uid;
    if (uid !== undefined) this.does((api) => api.remove({ resource: namespaces, name }, { uid }));
  }

  /** Changes the metadata of a pod. */
  patchPod({ metadata: { namespace, name, uid } }: StoredObject, metadata: Fields): void {
    const target = { resource: pods, namespace, name };
    this.does((api) => api.patch(target, "application/merge-patch+json", { metadata: { uid, ...metadata } }));
  }

  #patchRun(name: string, patch: Fields): void {
    if (this.#world.run(name) === undefined) return;
    const target = { resource: this.#world.runs, namespace: this.#world.scenarioOf(name).namespace, name };
    this.does((api) => api.patch(target, "application/merge-patch+json", patch));
  }
}

/** The name of what only looks like a part of a run. */
export function decoyName(run: string): string {
  return `${run}-decoy`;
}
