import { atLeastAsNew, type KubeObject, keyOf } from "./kube-object.ts";

// What one name can be, and what is told as it changes.
//
//               put, listed: Added
//   ┌────────┐ ───────────────────────────► ┌──────────────┐ ──┐ put of the same uid that is newer, or listed with
//   │ Absent │                              │ Held: a uid, │   │ another version: Updated
//   └────────┘ ◄─────────────────────────── │  a version   │ ◄─┘ put of what is not newer: nothing
//               remove of that uid, or      └──────────────┘ ──┐ put or listed under another uid: Deleted, then Added
//               not in its scope's list:                   ▲   │
//               Deleted                                    └───┘ remove of another uid: nothing

/** What became of one object. A deletion and a creation under one name are always two changes. */
export type Change<T extends KubeObject> =
  | Readonly<{ kind: "Added"; object: T }>
  | Readonly<{ kind: "Updated"; object: T; before: T }>
  | Readonly<{ kind: "Deleted"; object: T }>;

/** Names of the values an object is found by, such as the uid of its owner. */
export type Index<T extends KubeObject> = (object: T) => readonly string[];

/** Told of each change after the cache holds it. */
export type Listener<T extends KubeObject> = (change: Change<T>) => void;

/** What a whole list is compared with: the state it grew from, or one that the server has lost. */
export type History = "Same" | "Another";

/**
 * Listeners or indexes threw over a change. The change is taken in all the same, every other listener has heard of
 * it, and an object whose index threw is found by its key alone.
 */
export class BrokenListenerError extends AggregateError {
  override readonly name = "BrokenListenerError";
}

/**
 * The newest known state of one kind of object, kept by one reflector per scope (a namespace, or all).
 * Objects are shared, never copied: whoever reads them must not write them.
 */
export class ObjectCache<T extends KubeObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexes: ReadonlyMap<string, FiledIndex<T>>;
  readonly #listeners = new Set<Readonly<{ hear: Listener<T> }>>();
  #sortedKeys: readonly string[] | undefined;
  #thrown: unknown[] = [];

  constructor(indexes: Readonly<Record<string, Index<T>>> = {}) {
    this.#indexes = new Map(
      Object.entries(indexes).map(([name, of]) => [name, { of, keysOf: new Map(), valuesOf: new Map() }]),
    );
  }

  /** The object under `namespace/name` (or a bare name). */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  /** Every object, in the order of their keys. */
  all(): readonly T[] {
    this.#sortedKeys ??= [...this.#objects.keys()].sort();
    return this.#sortedKeys.flatMap((key) => this.#objects.get(key) ?? []);
  }

  /** The objects that an index files under a value, in the order of their keys. */
  find(index: string, value: string): readonly T[] {
    const filed = this.#indexes.get(index);
    if (filed === undefined) throw new RangeError(`Cannot look up ${value} because the cache has no index ${index}`);
    return [...(filed.keysOf.get(value) ?? [])].sort().flatMap((key) => this.#objects.get(key) ?? []);
  }

  get size(): number {
    return this.#objects.size;
  }

  /**
   * Adds a listener; what is returned takes it off again. What it does is done before the next change is taken in.
   * It should not throw: see {@link BrokenListenerError}.
   */
  listen(listener: Listener<T>): () => void {
    const entry = { hear: listener };
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** Takes in a state of an object. One older than what is known changes nothing. */
  put(object: T): void {
    const before = this.#objects.get(keyOf(object));
    if (before === undefined || !atLeastAsNew(before.metadata.resourceVersion, object.metadata.resourceVersion)) {
      this.#change(before, object);
    }
    this.#throwWhatBroke();
  }

  /** Forgets an object; a deletion of another uid than the known one changes nothing. */
  remove(object: T): void {
    this.#forget(object);
    this.#throwWhatBroke();
  }

  /**
   * Makes a scope what a whole list says, whatever was known: what is not listed is gone, and what differs is as
   * listed. After another history even an equal version may stand for something else, so all of it is told anew.
   * Other scopes are left alone.
   */
  replace(objects: readonly T[], scope: string | undefined, history: History = "Same"): void {
    const listed = new Set(objects.map(keyOf));
    for (const [key, object] of [...this.#objects]) {
      if (scope !== undefined && object.metadata.namespace !== scope) continue;
      if (!listed.has(key)) this.#forget(object);
    }
    for (const object of objects) {
      const before = this.#objects.get(keyOf(object));
      if (before === undefined || history === "Another" || !isSameState(before, object)) this.#change(before, object);
    }
    this.#throwWhatBroke();
  }

  #change(before: T | undefined, object: T): void {
    if (before?.metadata.uid === object.metadata.uid) {
      this.#store(object);
      this.#tell({ kind: "Updated", object, before });
      return;
    }
    if (before !== undefined) this.#forget(before);
    this.#store(object);
    this.#tell({ kind: "Added", object });
  }

  #forget(object: T): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (before === undefined || before.metadata.uid !== object.metadata.uid) return;
    this.#objects.delete(key);
    this.#sortedKeys = undefined;
    for (const filed of this.#indexes.values()) unfile(filed, key);
    this.#tell({ kind: "Deleted", object });
  }

  #store(object: T): void {
    const key = keyOf(object);
    if (!this.#objects.has(key)) this.#sortedKeys = undefined;
    this.#objects.set(key, object);
    for (const filed of this.#indexes.values()) {
      unfile(filed, key);
      file(filed, key, this.#guarded(() => filed.of(object)) ?? []);
    }
  }

  #tell(change: Change<T>): void {
    for (const { hear } of [...this.#listeners]) this.#guarded(() => hear(change));
  }

  #guarded<R>(call: () => R): R | undefined {
    try {
      return call();
    } catch (error) {
      this.#thrown.push(error);
      return undefined;
    }
  }

  #throwWhatBroke(): void {
    const thrown = this.#thrown;
    if (thrown.length === 0) return;
    this.#thrown = [];
    const message = `Cannot tell everyone of a change because ${thrown.length} listeners or indexes of the cache threw`;
    throw new BrokenListenerError(thrown.slice(0, mostErrorsKept), message);
  }
}

const mostErrorsKept = 16;

/** An index with what it has filed. The values are kept too: they are computed once per state of an object. */
type FiledIndex<T extends KubeObject> = Readonly<{
  of: Index<T>;
  keysOf: Map<string, Set<string>>;
  valuesOf: Map<string, readonly string[]>;
}>;

function file<T extends KubeObject>({ keysOf, valuesOf }: FiledIndex<T>, key: string, values: readonly string[]): void {
  if (values.length > 0) valuesOf.set(key, values);
  for (const value of values) {
    const keys = keysOf.get(value);
    if (keys === undefined) keysOf.set(value, new Set([key]));
    else keys.add(key);
  }
}

function unfile<T extends KubeObject>({ keysOf, valuesOf }: FiledIndex<T>, key: string): void {
  for (const value of valuesOf.get(key) ?? []) {
    const keys = keysOf.get(value);
    keys?.delete(key);
    if (keys?.size === 0) keysOf.delete(value);
  }
  valuesOf.delete(key);
}

function isSameState(a: KubeObject, b: KubeObject): boolean {
  return a.metadata.uid === b.metadata.uid && a.metadata.resourceVersion === b.metadata.resourceVersion;
}
