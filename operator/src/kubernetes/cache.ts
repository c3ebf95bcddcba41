import { atLeastAsNew, type KubeObject, keyOf } from "./kube-object.ts";

/** What became of one object. A deletion and a creation under one name are always two changes. */
export type Change<T extends KubeObject> =
  | Readonly<{ kind: "Added"; object: T }>
  | Readonly<{ kind: "Updated"; object: T; before: T }>
  | Readonly<{ kind: "Deleted"; object: T }>;

/** Names of the values an object is found by, such as the uid of its owner. */
export type Index<T extends KubeObject> = (object: T) => readonly string[];

/** Told of each change after the cache holds it. */
export type Listener<T extends KubeObject> = (change: Change<T>) => void;

/**
 * The newest known state of one kind of object, kept by one reflector per scope (a namespace, or all).
 * Objects are shared, never copied: whoever reads them must not write them.
 */
export class ObjectCache<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexes: ReadonlyMap<string, Readonly<{ of: Index<T>; keys: Map<string, Set<string>> }>>;
  readonly #listeners: Listener<T>[] = [];

  constructor(indexes: Readonly<Record<string, Index<T>>> = {}) {
    this.#indexes = new Map(Object.entries(indexes).map(([name, of]) => [name, { of, keys: new Map() }]));
  }

  /** The object under `namespace/name` (or a bare name). */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  /** Every object, in the order of their keys. */
  all(): readonly T[] {
    return [...this.#objects.keys()].sort().flatMap((key) => this.#objects.get(key) ?? []);
  }

  /** The objects that an index files under a value, in the order of their keys. */
  find(index: string, value: string): readonly T[] {
    const filed = this.#indexes.get(index);
    if (filed === undefined) throw new RangeError(`Cannot look up ${value} because the cache has no index ${index}`);
    return [...(filed.keys.get(value) ?? [])].sort().flatMap((key) => this.#objects.get(key) ?? []);
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Adds a listener. It must not throw; what it does is done before the next change is taken in. */
  listen(listener: Listener<T>): void {
    this.#listeners.push(listener);
  }

  /** Takes in a state of an object. One older than what is known changes nothing. */
  put(object: T): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (before === undefined) {
      this.#store(key, object);
      this.#tell({ kind: "Added", object });
      return;
    }
    if (atLeastAsNew(before.metadata.resourceVersion, object.metadata.resourceVersion)) return;
    if (before.metadata.uid !== object.metadata.uid) {
      this.#drop(key, before);
      this.#tell({ kind: "Deleted", object: before });
      this.#store(key, object);
      this.#tell({ kind: "Added", object });
      return;
    }
    this.#drop(key, before);
    this.#store(key, object);
    this.#tell({ kind: "Updated", object, before });
  }

  /** Forgets an object; a deletion of another uid than the known one changes nothing. */
  remove(object: T): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (before === undefined || before.metadata.uid !== object.metadata.uid) return;
    this.#drop(key, before);
    this.#tell({ kind: "Deleted", object });
  }

  /** Takes in a whole list: what of the scope is not in it is gone. Other scopes are left alone. */
  replace(objects: readonly T[], scope: string | undefined): void {
    const listed = new Set(objects.map(keyOf));
    for (const [key, object] of [...this.#objects]) {
      if (scope !== undefined && object.metadata.namespace !== scope) continue;
      if (!listed.has(key)) this.remove(object);
    }
    for (const object of objects) this.put(object);
  }

  #store(key: string, object: T): void {
    this.#objects.set(key, object);
    for (const { of, keys } of this.#indexes.values()) {
      for (const value of of(object)) {
        const filed = keys.get(value);
        if (filed === undefined) keys.set(value, new Set([key]));
        else filed.add(key);
      }
    }
  }

  #drop(key: string, object: T): void {
    this.#objects.delete(key);
    for (const { of, keys } of this.#indexes.values()) {
      for (const value of of(object)) {
        const filed = keys.get(value);
        filed?.delete(key);
        if (filed?.size === 0) keys.delete(value);
      }
    }
  }

  #tell(change: Change<T>): void {
    for (const listener of this.#listeners) listener(change);
  }
}
