/** A reference from an object to the one that owns it. */
export type OwnerReference = Readonly<{
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}>;

/** The part of `metadata` this program reads; what else the server sends is kept and not named. */
export type ObjectMeta = Readonly<{
  name: string;
  namespace?: string;
  uid: string;
  resourceVersion: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  deletionGracePeriodSeconds?: number;
  labels?: Readonly<Record<string, string>>;
  annotations?: Readonly<Record<string, string>>;
  finalizers?: readonly string[];
  ownerReferences?: readonly OwnerReference[];
  managedFields?: unknown;
}>;

/** Any object of the API server. It is never converted: fields newer than this program survive a round trip. */
export type KubeObject = Readonly<{
  apiVersion?: string;
  kind?: string;
  metadata: ObjectMeta;
  spec?: unknown;
  status?: unknown;
}>;

/** The uid of the controller that owns the object, if one does. */
export function controllerUid(object: KubeObject): string | undefined {
  return object.metadata.ownerReferences?.find((owner) => owner.controller === true)?.uid;
}

/** `namespace/name`, or the bare name of a cluster-scoped object. */
export function keyOf(object: KubeObject): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** What `keyOf` an object with a namespace is made of. */
export function placeOf(key: string): Readonly<{ namespace: string; name: string }> {
  const [namespace = "", name = ""] = key.split("/");
  return { namespace, name };
}

/** True where resource version `a` is at least as new as `b`. They are decimal numbers of any length. */
export function atLeastAsNew(a: string, b: string): boolean {
  return BigInt(a) >= BigInt(b);
}
