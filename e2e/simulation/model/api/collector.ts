import type { Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import { foregroundFinalizer, orphanFinalizer } from "./deletion.ts";
import { type ControllerOptions, Errands } from "./errands.ts";
import type { ModelApi } from "./model-api.ts";
import { keyIn, type StoredObject } from "./object.ts";
import type { Revision } from "./store.ts";

/**
 * The garbage collector: removes objects whose owners are all gone, takes references to owners that are gone off the
 * others, and carries out deletions that asked for foreground or orphaning.
 */
export class Collector {
  readonly #api: ModelApi;
  readonly #places = new Map<string, Place>();
  readonly #dependents = new Map<string, Set<string>>();
  readonly #errands: Errands;

  constructor(api: ModelApi, options: ControllerOptions) {
    this.#api = api;
    this.#errands = new Errands(options, (uid) => this.#look(uid));
    api.store.listen((resource, revision) => this.#see(resource, revision));
  }

  #see(resource: Resource, { type, object, before }: Revision): void {
    const { uid, namespace } = object.metadata;
    if (type === "DELETED") {
      this.#places.delete(uid);
      this.#refile(uid, object, undefined);
      for (const dependent of this.#dependents.get(uid) ?? []) this.#errands.ask(dependent);
      // Owners that wait for their dependents.
      for (const owner of ownersOf(object)) this.#errands.ask(owner);
      return;
    }
    this.#places.set(uid, { resource, key: keyIn(object.metadata), namespace });
    this.#refile(uid, before, object);
    const isWaiting = object.metadata.finalizers?.some(
      (each) => each === orphanFinalizer || each === foregroundFinalizer,
    );
    const hasLost = ownersOf(object).some((owner) => !this.#isThere(owner, namespace));
    if (hasLost || (isWaiting && object.metadata.deletionTimestamp !== undefined)) this.#errands.ask(uid);
  }

  #refile(uid: string, before: StoredObject | undefined, after: StoredObject | undefined): void {
    for (const owner of before === undefined ? [] : ownersOf(before)) {
      const filed = this.#dependents.get(owner);
      filed?.delete(uid);
      if (filed?.size === 0) this.#dependents.delete(owner);
    }
    for (const owner of after === undefined ? [] : ownersOf(after)) {
      const filed = this.#dependents.get(owner) ?? new Set();
      this.#dependents.set(owner, filed.add(uid));
    }
  }

  #look(uid: string): void {
    const found = this.#find(uid);
    if (found === undefined) return;
    const { place, revision } = found;
    const { metadata } = revision.object;
    if (metadata.deletionTimestamp !== undefined) {
      if (metadata.finalizers?.includes(orphanFinalizer)) this.#orphan(found);
      if (metadata.finalizers?.includes(foregroundFinalizer)) this.#removeDependents(found);
      return;
    }
    const owners = metadata.ownerReferences ?? [];
    const living = owners.filter((owner) => this.#isThere(owner.uid, place.namespace));
    if (living.length === owners.length) return;
    if (living.length === 0) this.#api.remove(targetOf(place), { uid, propagationPolicy: policyOf(revision.object) });
    else this.#patch(place, { ownerReferences: living });
  }

  #orphan({ place, revision }: Found): void {
    const { uid } = revision.object.metadata;
    for (const found of this.#dependentsOf(uid)) {
      const others = found.revision.object.metadata.ownerReferences?.filter((owner) => owner.uid !== uid) ?? [];
      this.#patch(found.place, { ownerReferences: others });
    }
    this.#takeOff(place, revision, orphanFinalizer);
  }

  #removeDependents({ place, revision }: Found): void {
    const { uid } = revision.object.metadata;
    for (const { place: below, revision: dependent } of this.#dependentsOf(uid)) {
      const { uid: dependentUid, deletionTimestamp } = dependent.object.metadata;
      if (deletionTimestamp === undefined) this.#api.remove(targetOf(below), { uid: dependentUid });
    }
    const holds = this.#dependentsOf(uid).some(({ revision: { object } }) =>
      object.metadata.ownerReferences?.some((owner) => owner.uid === uid && owner.blockOwnerDeletion === true),
    );
    if (!holds) this.#takeOff(place, revision, foregroundFinalizer);
  }

  #takeOff(place: Place, { object }: Revision, finalizer: string): void {
    this.#patch(place, { finalizers: object.metadata.finalizers?.filter((each) => each !== finalizer) ?? [] });
  }

  #patch(place: Place, metadata: Readonly<Record<string, unknown>>): void {
    this.#api.patch(targetOf(place), "application/merge-patch+json", { metadata });
  }

  #dependentsOf(uid: string): readonly Found[] {
    return [...(this.#dependents.get(uid) ?? [])].flatMap((dependent) => this.#find(dependent) ?? []);
  }

  #find(uid: string): Found | undefined {
    const place = this.#places.get(uid);
    const revision = place === undefined ? undefined : this.#api.store.get(place.resource, place.key);
    return place === undefined || revision === undefined ? undefined : { place, revision };
  }

  /** An owner in another namespace counts as none. */
  #isThere(uid: string, namespace: string | undefined): boolean {
    const place = this.#places.get(uid);
    return place !== undefined && (place.namespace === undefined || place.namespace === namespace);
  }
}

type Place = Readonly<{ resource: Resource; key: string; namespace: string | undefined }>;
type Found = Readonly<{ place: Place; revision: Revision }>;

function ownersOf(object: StoredObject): readonly string[] {
  return object.metadata.ownerReferences?.map(({ uid }) => uid) ?? [];
}

/** An object that was told before how its own dependents are to go keeps to that. */
function policyOf({ metadata: { finalizers = [] } }: StoredObject): "Orphan" | "Foreground" | "Background" {
  if (finalizers.includes(orphanFinalizer)) return "Orphan";
  return finalizers.includes(foregroundFinalizer) ? "Foreground" : "Background";
}

function targetOf({ resource, key, namespace }: Place) {
  return { resource, namespace, name: namespace === undefined ? key : key.slice(namespace.length + 1) };
}
