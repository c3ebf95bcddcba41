import { describe, type Resource, type Target } from "@trainingrun/operator/kubernetes/resource.ts";
import { alreadyExists, type Cause, conflict, forbidden, notFound, Refusal } from "./answers.ts";
import { builtInKinds, coreEvents, eventOfCore, namespaces } from "./built-in-kinds.ts";
import { type Deletion, deletionStep } from "./deletion.ts";
import type { Kind, Part } from "./kind.ts";
import { type ListPage, listPage, type Query, selectorOf } from "./lists.ts";
import { fieldsOf, keyIn, type StoredObject, timestamp } from "./object.ts";
import { jsonPatched, mergePatched } from "./patch.ts";
import { Revision, Store } from "./store.ts";
import { type Defer, type Watch, Watches } from "./watch.ts";
import { changedObject, isReleased, madeObject, readObject, refuseUnknown } from "./writes.ts";

/** A write as the admission of a simulation sees it, before it is stored. */
export type Admission = Readonly<{
  verb: "CREATE" | "UPDATE" | "DELETE";
  resource: Resource;
  object: StoredObject;
  /** What of the object an update may change. */
  part: Part;
}>;

/** What a model API server is made of. */
export type ModelApiOptions = Readonly<{
  /** Milliseconds since the epoch, by the server's clock. */
  now: () => number;
  /** Between 0 and 1; uids and generated names come from it. */
  random: () => number;
  defer: Defer;
  /** Kinds beyond those that every server has. */
  kinds?: readonly Kind[];
  /** Quota, policies and webhooks: throws a Refusal, or lets the write pass. */
  admit?: (write: Admission) => void;
  /** Webhooks that change what is created, before anybody else looks at it. */
  complete?: (created: StoredObject) => StoredObject;
  store?: Store;
}>;

/** What is done about fields that a definition lacks: they are left out, or the whole write is refused. */
export type FieldValidation = "Ignore" | "Strict";

/** How a patch is meant. */
export type PatchType = "application/merge-patch+json" | "application/json-patch+json";

/** What became of a deletion. */
export type Deleted = Readonly<{ kind: "Held" | "Gone"; revision: Revision }>;

/**
 * The API server as a value: everything it does, it does at once. Kubelets, schedulers and users of a simulation call
 * it as it stands; a program that speaks HTTP goes through requests.ts and dispatcher.ts. Refusals are thrown.
 */
export class ModelApi {
  readonly store: Store;
  readonly watches: Watches;
  readonly #options: ModelApiOptions;
  readonly #kinds: ReadonlyMap<string, Kind>;
  #drawn = 0;

  constructor(options: ModelApiOptions) {
    this.#options = options;
    this.store = options.store ?? new Store();
    this.watches = new Watches(this.store, options.defer);
    const kinds = [...builtInKinds, ...(options.kinds ?? [])];
    this.#kinds = new Map(kinds.map((kind) => [pathName(kind.resource), kind]));
  }

  /** Every kind that is served. */
  get kinds(): readonly Kind[] {
    return [...this.#kinds.values()];
  }

  /** How objects of a resource are treated; undefined where it is not served. */
  kindOf(resource: Pick<Resource, "group" | "version" | "plural">): Kind | undefined {
    return this.#kinds.get(pathName(resource));
  }

  /** The object now, or as it was at an older version. */
  get(target: Target, at?: number): Revision {
    const found = this.store.get(this.#served(target).resource, keyOf(target), at);
    if (found === undefined) throw notFound(target.resource, target.name ?? "");
    return found;
  }

  /** One page of a collection, now or as it was at an older version. */
  list(target: Target, query: Query = {}, at?: number): ListPage {
    return listPage(this.store, { kind: this.#served(target), namespace: target.namespace, query, at });
  }

  /** Opens a watch; `say` takes its lines, the first of them at once. */
  watch(target: Target, query: Query, told: Readonly<{ say: (line: string) => void; end: () => void }>): Watch {
    const kind = this.#served(target);
    const version = query.resourceVersion;
    const view = { resource: kind.resource, namespace: target.namespace, matches: selectorOf(kind, query) };
    const timeoutSeconds = Number(query.timeoutSeconds ?? 0) || 1800 * (1 + this.#options.random());
    const bookmarks = query.allowWatchBookmarks === "true" ? "Sent" : "NotSent";
    const from = version === undefined || version === "" || version === "0" ? "Now" : Number(version);
    return this.watches.open({ view, bookmarks, timeoutSeconds, ...told }, from);
  }

  /** Creates an object from what the body says. */
  create(target: Target, body: unknown): Revision {
    const kind = this.#served(target);
    const given = this.#withName(readObject(kind, body, target));
    const name = given.metadata.name;
    this.#refuseWithoutNamespace(kind, target.namespace, name);
    const read = this.#options.complete?.(given) ?? given;
    this.#options.admit?.({ verb: "CREATE", resource: kind.resource, object: read, part: "whole" });
    const object = madeObject(kind, read, {
      uid: this.#uid(),
      creationTimestamp: timestamp(this.#options.now()),
    });
    const { resource } = kind;
    if (pathName(resource) === pathName(coreEvents)) return this.#keepCoreEvent(object);
    if (this.store.get(resource, keyIn(object.metadata)) !== undefined) throw alreadyExists(resource, name);
    return this.store.put(resource, object);
  }

  /** Puts a whole object in the place of the one that is there. */
  update(target: Target, body: unknown): Revision {
    const kind = this.#served(target);
    const given = readObject(kind, body, target);
    const { uid } = given.metadata;
    const current = this.store.get(kind.resource, keyOf(target));
    if (current === undefined && kind.madeByUpdates && target.subresource === undefined) {
      return this.create({ ...target, resource: kind.resource }, body);
    }
    if (current !== undefined && uid !== "" && uid !== current.object.metadata.uid) {
      const seen = current.object.metadata.uid;
      const why = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${seen}`;
      throw conflict(kind.resource, target.name ?? "", why);
    }
    return this.#change(kind, target, () => given);
  }

  /** Changes the object by a patch of what is there now. */
  patch(target: Target, type: PatchType, body: unknown, validation: FieldValidation = "Ignore"): Revision {
    const kind = this.#served(target);
    const patched = type === "application/json-patch+json" ? jsonPatched : mergePatched;
    return this.#change(kind, target, (object) => {
      const after = patched(object, body);
      const given = readObject(kind, after, target);
      if (validation === "Strict") refuseUnknown(kind, after);
      return given;
    });
  }

  /** Deletes an object, or begins to. */
  remove(target: Target, asked: Deletion = {}): Deleted {
    const kind = this.#served(target);
    const { resource } = kind;
    const current = this.get(target);
    const step = deletionStep(kind, current.object, asked, this.#options.now());
    this.#options.admit?.({ verb: "DELETE", resource, object: current.object, part: "whole" });
    switch (step.kind) {
      case "Waits":
        return { kind: "Held", revision: current };
      case "Marked":
        return { kind: "Held", revision: this.#put(kind, current, step.object) };
      case "MarkedAndGone": {
        const marked = this.#put(kind, current, step.object);
        return { kind: "Gone", revision: this.store.remove(resource, keyIn(marked.object.metadata)) };
      }
      case "Gone":
        return { kind: "Gone", revision: this.store.remove(resource, keyOf(target)) };
    }
  }

  /** What a part of the server writes without being asked, past every rule: a binding, the end of a namespace. */
  write(resource: Resource, change: (object: StoredObject) => StoredObject, current: Revision): Revision {
    const kind = this.#served({ resource });
    return this.#put(kind, current, change(current.object));
  }

  /** Restarts the server: every watch ends, and none can go on from before. What is stored stays. */
  restart(): void {
    this.watches.endAll();
    this.store.forgetWatched();
  }

  #change(kind: Kind, target: Target, make: (object: StoredObject) => StoredObject): Revision {
    const { resource } = kind;
    const current = this.get(target);
    const part: Part = target.subresource === "status" ? "status" : "whole";
    const given = make(current.object);
    const after = changedObject(kind, current.object, given, part);
    if (after === current.object) return current;
    this.#options.admit?.({ verb: "UPDATE", resource, object: after, part });
    if (isReleased(current.object, after)) {
      this.store.remove(resource, keyOf(target));
      // The answer shows the write, under the version that it was made on.
      return new Revision(current.version, "MODIFIED", after, current.object);
    }
    return this.store.put(resource, after);
  }

  #put(kind: Kind, current: Revision, object: StoredObject): Revision {
    const isChange = JSON.stringify(object) !== current.text;
    return isChange ? this.store.put(kind.resource, object) : current;
  }

  #keepCoreEvent(event: StoredObject): Revision {
    const kind = this.kindOf({ group: "events.k8s.io", version: "v1", plural: "events" });
    const kept = eventOfCore(event);
    if (kind === undefined || this.store.get(kind.resource, keyIn(event.metadata)) !== undefined) {
      throw alreadyExists(coreEvents, event.metadata.name);
    }
    const { version } = this.store.put(kind.resource, kept);
    return new Revision(version, "ADDED", event, undefined);
  }

  /** Nothing is made in a namespace that is not there, or is about to go. */
  #refuseWithoutNamespace({ resource }: Kind, namespace: string | undefined, name: string): void {
    if (namespace === undefined) return;
    const found = this.store.get(namespaces, namespace)?.object;
    if (found === undefined) throw notFound(namespaces, namespace);
    if (fieldsOf(found.status).phase !== "Terminating") return;
    const cause: Cause = {
      reason: "NamespaceTerminating",
      message: `namespace ${namespace} is being terminated`,
      field: "metadata.namespace",
    };
    const why = `unable to create new content in namespace ${namespace} because it is being terminated`;
    throw forbidden(resource, name, why, [cause]);
  }

  #withName(object: StoredObject): StoredObject {
    const { name, generateName } = object.metadata;
    if (name !== "" || generateName === undefined) return object;
    const drawn = Array.from({ length: 5 }, () => nameLetters[Math.floor(this.#options.random() * nameLetters.length)]);
    return { ...object, metadata: { ...object.metadata, name: `${generateName}${drawn.join("")}` } };
  }

  /** Like any other uid, and never drawn twice: its last part counts. */
  #uid(): string {
    this.#drawn += 1;
    const hex = (digits: number) =>
      Math.floor(this.#options.random() * 16 ** digits)
        .toString(16)
        .padStart(digits, "0");
    return `${hex(8)}-${hex(4)}-4${hex(3)}-8${hex(3)}-${this.#drawn.toString(16).padStart(12, "0")}`;
  }

  #served(target: Target): Kind {
    const kind = this.kindOf(target.resource);
    if (kind === undefined) {
      throw new Refusal(404, { reason: "NotFound", message: `${describe(target)} is not served` });
    }
    return kind;
  }
}

const nameLetters = "bcdfghjklmnpqrstvwxz2456789";

function pathName({ group, version, plural }: Pick<Resource, "group" | "version" | "plural">): string {
  return `${group}/${version}/${plural}`;
}

function keyOf({ namespace, name = "" }: Target): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
