import type { Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import { expired } from "./answers.ts";
import { keyIn, type StoredObject, withMetadata } from "./object.ts";

/** What a revision did to its object. */
export type RevisionType = "ADDED" | "MODIFIED" | "DELETED";

/** One write: the object as it stands after it, or as it last stood where the write took it away. */
export class Revision {
  readonly version: number;
  readonly type: RevisionType;
  readonly object: StoredObject;
  /** The object before the write. */
  readonly before: StoredObject | undefined;
  #text: string | undefined;
  #item: string | undefined;

  constructor(version: number, type: RevisionType, object: StoredObject, before: StoredObject | undefined) {
    this.version = version;
    this.type = type;
    this.object = object;
    this.before = before;
  }

  /** The same state, told as something else: a watch that begins with what is there tells it as added. */
  as(type: RevisionType): Revision {
    return new Revision(this.version, type, this.object, undefined);
  }

  /** The object in JSON: written once, shared by every answer and every watch. */
  get text(): string {
    this.#text ??= JSON.stringify(this.object);
    return this.#text;
  }

  /** The object in JSON as it stands in lists of compiled kinds: without saying what it is. */
  get item(): string {
    this.#item ??= JSON.stringify({ ...this.object, apiVersion: undefined, kind: undefined });
    return this.#item;
  }
}

/** Told of each revision once it stands. */
export type RevisionListener = (resource: Resource, revision: Revision) => void;

type Collection = {
  readonly resource: Resource;
  readonly objects: Map<string, Revision>;
  /** Newest last. */
  log: Revision[];
  /** The oldest version at which the collection can still be shown. */
  shownFrom: number;
  /** The oldest version from which it can still be watched. */
  watchedFrom: number;
  keys: string[] | undefined;
};

/** All objects, under one counter of revisions, and what became of them for as long as the history reaches. */
export class Store {
  readonly #collections = new Map<string, Collection>();
  readonly #listeners: RevisionListener[] = [];
  readonly #longestLog: number;
  readonly #firstVersion: number;
  #version: number;

  constructor(options: Readonly<{ firstVersion?: number; longestLog?: number }> = {}) {
    this.#firstVersion = options.firstVersion ?? 1000;
    this.#version = this.#firstVersion;
    this.#longestLog = options.longestLog ?? 4096;
  }

  /** The version of the newest write. */
  get version(): number {
    return this.#version;
  }

  /** Adds a listener; it may write. */
  listen(listener: RevisionListener): void {
    this.#listeners.push(listener);
  }

  /** The object now, or at an older version of the whole. */
  get(resource: Resource, key: string, at?: number): Revision | undefined {
    const collection = this.#of(resource);
    if (at === undefined || at >= this.#version) return collection.objects.get(key);
    return this.#stateAt(collection, at).get(key);
  }

  /** The objects of one namespace, or of all, in the order of their keys; now, or at an older version. */
  list(resource: Resource, namespace: string | undefined, at = this.#version): readonly Revision[] {
    const collection = this.#of(resource);
    const objects = at >= this.#version ? collection.objects : this.#stateAt(collection, at);
    const keys = objects === collection.objects ? this.#keys(collection) : [...objects.keys()].sort();
    const prefix = namespace === undefined ? "" : `${namespace}/`;
    return keys.flatMap((key) => (key.startsWith(prefix) ? (objects.get(key) ?? []) : []));
  }

  /** Puts an object in the place of what has its key. */
  put(resource: Resource, object: StoredObject): Revision {
    const before = this.#of(resource).objects.get(keyIn(object.metadata))?.object;
    return this.#add(resource, object, { type: before === undefined ? "ADDED" : "MODIFIED", before });
  }

  /** Takes an object away; the revision shows how it last stood, under the version of its end. */
  remove(resource: Resource, key: string): Revision {
    const before = this.#of(resource).objects.get(key)?.object;
    if (before === undefined)
      throw new RangeError(`Cannot take away ${resource.plural} ${key} because it is not there`);
    return this.#add(resource, before, { type: "DELETED", before });
  }

  /** What happened to a collection after a version, in order. */
  since(resource: Resource, version: number): readonly Revision[] {
    const { log, watchedFrom } = this.#of(resource);
    if (version < watchedFrom) throw expired(`too old resource version: ${version} (${watchedFrom})`);
    const first = log.findIndex((revision) => revision.version > version);
    return first < 0 ? [] : log.slice(first);
  }

  /** Forgets what was before a version, as compaction does: nothing older can be watched or shown. */
  compact(version = this.#version): void {
    for (const collection of this.#collections.values()) {
      this.#forget(collection, version);
      collection.log = collection.log.filter((revision) => revision.version > version);
    }
  }

  /** Forgets what can be watched, as a restart of the server does; older lists can still be gone on with. */
  forgetWatched(): void {
    for (const collection of this.#collections.values()) collection.watchedFrom = this.#version;
  }

  #add(
    resource: Resource,
    object: StoredObject,
    how: Readonly<{ type: RevisionType; before: StoredObject | undefined }>,
  ) {
    this.#version += 1;
    const collection = this.#of(resource);
    const stored = withMetadata(object, { resourceVersion: String(this.#version) });
    const revision = new Revision(this.#version, how.type, stored, how.before);
    const key = keyIn(object.metadata);
    if (how.type === "DELETED") collection.objects.delete(key);
    else collection.objects.set(key, revision);
    if (how.type !== "MODIFIED") collection.keys = undefined;
    collection.log.push(revision);
    if (collection.log.length > this.#longestLog) this.#shorten(collection);
    for (const listener of this.#listeners) listener(resource, revision);
    return revision;
  }

  #shorten(collection: Collection): void {
    const dropped = collection.log.splice(0, collection.log.length >> 1);
    this.#forget(collection, dropped.at(-1)?.version ?? 0);
  }

  #forget(collection: Collection, version: number): void {
    collection.shownFrom = Math.max(collection.shownFrom, version);
    collection.watchedFrom = Math.max(collection.watchedFrom, version);
  }

  /** The collection as it was: everything that was done since is taken back. */
  #stateAt({ objects, log, shownFrom }: Collection, version: number): ReadonlyMap<string, Revision> {
    if (version < shownFrom) throw expired(`the version ${version} is older than what is kept: ${shownFrom}`);
    const then = new Map(objects);
    for (const revision of log.toReversed()) {
      if (revision.version <= version) break;
      const key = keyIn(revision.object.metadata);
      if (revision.before === undefined) then.delete(key);
      else
        then.set(
          key,
          new Revision(Number(revision.before.metadata.resourceVersion), "MODIFIED", revision.before, undefined),
        );
    }
    return then;
  }

  #keys(collection: Collection): readonly string[] {
    collection.keys ??= [...collection.objects.keys()].sort();
    return collection.keys;
  }

  #of(resource: Resource): Collection {
    const name = `${resource.group}/${resource.plural}`;
    const known = this.#collections.get(name);
    if (known !== undefined) return known;
    // Nothing is known of what was before the server began.
    const shownFrom = this.#firstVersion;
    const made = { resource, objects: new Map(), log: [], shownFrom, watchedFrom: shownFrom, keys: undefined };
    this.#collections.set(name, made);
    return made;
  }
}
