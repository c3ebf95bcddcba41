import { coreEvents, namespaces } from "./built-in-kinds.ts";
import { type ControllerOptions, Errands } from "./errands.ts";
import type { ModelApi } from "./model-api.ts";
import { fieldsOf, type StoredObject } from "./object.ts";
import { hasNamespaceHold } from "./writes.ts";

/** Removes what is in a namespace that is being deleted, and then the namespace. */
export class NamespaceEnd {
  readonly #api: ModelApi;
  readonly #errands: Errands;

  constructor(api: ModelApi, options: ControllerOptions) {
    this.#api = api;
    this.#errands = new Errands(options, (name) => this.#look(name));
    api.store.listen((resource, { type, object }) => {
      if (resource.plural === namespaces.plural) {
        if (isEnding(object)) this.#errands.ask(object.metadata.name);
        return;
      }
      const { namespace } = object.metadata;
      if (type !== "DELETED" || namespace === undefined) return;
      const holder = api.store.get(namespaces, namespace)?.object;
      if (holder !== undefined && isEnding(holder)) this.#errands.ask(namespace);
    });
  }

  #look(name: string): void {
    const current = this.#api.store.get(namespaces, name);
    if (current === undefined || !isEnding(current.object)) return;
    const inside = () => this.#content(name);
    for (const { resource, object } of inside()) {
      const { name: own, uid, deletionTimestamp } = object.metadata;
      if (deletionTimestamp === undefined) this.#api.remove({ resource, namespace: name, name: own }, { uid });
    }
    if (inside().length > 0) return;
    if ((current.object.metadata.finalizers ?? []).length === 0) this.#api.store.remove(namespaces, name);
    else
      this.#api.write(
        namespaces,
        (object) => ({ ...object, spec: { ...fieldsOf(object.spec), finalizers: [] } }),
        current,
      );
  }

  #content(namespace: string) {
    return this.#api.kinds
      .map(({ resource }) => resource)
      .filter((resource) => resource.scope === "Namespaced" && resource !== coreEvents)
      .flatMap((resource) => this.#api.store.list(resource, namespace).map(({ object }) => ({ resource, object })));
  }
}

function isEnding(namespace: StoredObject): boolean {
  return namespace.metadata.deletionTimestamp !== undefined && hasNamespaceHold(namespace);
}
