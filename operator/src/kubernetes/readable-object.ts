import type { KubeObject } from "./kube-object.ts";
import type { Resource } from "./resource.ts";

/** What a reflector keeps a copy of: the objects of one kind, in one namespace or in all, that a selector picks. */
export type Scope = Readonly<{
  resource: Resource;
  /** One namespace, or all where absent. */
  namespace?: string | undefined;
  labelSelector?: string | undefined;
}>;

/** What came from the server: an object that can be kept, or why it cannot. */
export type Read = Readonly<{ kind: "Object"; object: KubeObject }> | Readonly<{ kind: "Flawed"; why: string }>;

/**
 * Looks at an object as it came. One without kind, name or uid is nobody: taken in, it would stand for nothing in
 * the cluster and hide what really stands there. In a list the server leaves out the kind of its own objects.
 */
export function readObject(raw: unknown, scope: Scope, place: "Item" | "Event"): Read {
  const { resource, namespace } = scope;
  const object = raw as KubeObject | null | undefined;
  const metadata: unknown = object?.metadata;
  if (object === null || typeof object !== "object" || metadata === null || typeof metadata !== "object") {
    return flawed("it has no metadata");
  }
  const isNamedKind = object.kind === resource.kind || (object.kind === undefined && place === "Item");
  if (!isNamedKind) return flawed(`its kind is ${String(object.kind)}, not ${resource.kind}`);
  const { name, uid, resourceVersion, namespace: own } = object.metadata;
  if (!isText(name)) return flawed("it has no name");
  if (!isText(uid)) return flawed("it has no uid");
  if (!isVersion(resourceVersion)) return flawed("it has no resource version");
  if (resource.scope === "Namespaced" && !isText(own)) return flawed("it has no namespace");
  if (namespace !== undefined && own !== namespace) return flawed(`it is of namespace ${own}, not ${namespace}`);
  return { kind: "Object", object };
}

/** A version as the server writes it: a decimal number. Beyond 64 digits it is noise, and slow to compare. */
export function isVersion(value: unknown): value is string {
  return typeof value === "string" && /^[1-9]\d{0,63}$/.test(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

function flawed(why: string): Read {
  return { kind: "Flawed", why };
}
