import { isAlreadyExists, isConflict, isNotFound } from "./api-error.ts";
import type { ApiClient, Bound, DeleteOptions } from "./client.ts";
import type { KubeObject } from "./kube-object.ts";
import type { Resource } from "./resource.ts";

/** Whose turn it was when an object of our name stood there already. */
export class ForeignObjectError extends Error {
  override readonly name = "ForeignObjectError";
}

/** The object is not the one any more, or not in the state, that was decided on. */
export class OldPictureError extends Error {
  override readonly name = "OldPictureError";
}

/** An object that a write is meant for: this one, not another of its name (I7). */
export type Exact = Readonly<{ namespace: string; name: string; uid: string }>;

/**
 * Creates an object, or finds that an earlier creation whose answer was lost has done it. An object that
 * stands under the name counts as created only if `isOurs` says so of what the server itself shows now.
 */
export async function createOrAdopt<T extends KubeObject>(
  client: ApiClient,
  creation: Readonly<{
    resource: Resource;
    namespace: string;
    name: string;
    object: unknown;
    isOurs: (found: T) => boolean;
    /** What to do about one that is not, for the error. */
    advice?: (found: T) => string;
  }>,
  bound: Bound,
): Promise<T> {
  const { resource, namespace, name, object, isOurs, advice = () => "" } = creation;
  try {
    return await client.create<T>({ resource, namespace }, object, bound);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const found = await client.get<T>({ resource, namespace, name }, bound);
    if (isOurs(found)) return found;
    const message = `Cannot create ${resource.kind} ${namespace}/${name} because another object has that name: uid ${found.metadata.uid}`;
    const words = advice(found);
    throw new ForeignObjectError(words === "" ? message : `${message}. ${words}`, { cause: error });
  }
}

/** Deletes exactly this object. One that is gone, or replaced by another uid, is no longer there to delete. */
export async function removeExact(
  client: ApiClient,
  removal: Readonly<{
    resource: Resource;
    exact: Exact;
    resourceVersion?: string;
    options?: Omit<DeleteOptions, "preconditions">;
  }>,
  bound: Bound,
): Promise<KubeObject | "Absent"> {
  const { resource, exact, resourceVersion, options } = removal;
  const preconditions = { uid: exact.uid, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
  const target = { resource, namespace: exact.namespace, name: exact.name };
  try {
    return await client.remove(target, { ...options, preconditions }, bound);
  } catch (error) {
    if (isNotFound(error)) return "Absent";
    if (isConflict(error) && (await readExact(client, { resource, exact }, bound)) === "Absent") return "Absent";
    throw error;
  }
}

/**
 * Takes one finalizer off exactly this object. `finalizers` is what it was seen to carry: the patch is refused
 * where uid or place differ by now, so that nobody else's finalizer is taken.
 */
export async function removeFinalizer(
  client: ApiClient,
  removal: Readonly<{ resource: Resource; exact: Exact; finalizers: readonly string[]; finalizer: string }>,
  bound: Bound,
): Promise<KubeObject | "Absent"> {
  const { resource, exact, finalizers, finalizer } = removal;
  const index = finalizers.indexOf(finalizer);
  const target = { resource, namespace: exact.namespace, name: exact.name };
  if (index < 0) return "Absent";
  const operations = [
    { op: "test", path: "/metadata/uid", value: exact.uid },
    { op: "test", path: `/metadata/finalizers/${index}`, value: finalizer },
    { op: "remove", path: `/metadata/finalizers/${index}` },
  ];
  try {
    return await client.jsonPatch(target, operations, bound);
  } catch (error) {
    if (isNotFound(error)) return "Absent";
    throw error;
  }
}

/**
 * Rejects unless the object is still as it was decided on, read from the server itself. It goes before writes that rest
 * on that state and cannot carry its version, such as creations of other objects.
 */
export async function proveUnchanged(
  client: ApiClient,
  seen: Readonly<{ resource: Resource; exact: Exact; resourceVersion: string }>,
  bound: Bound,
): Promise<void> {
  const { resource, exact, resourceVersion } = seen;
  const target = { resource, namespace: exact.namespace, name: exact.name };
  const { metadata } = await client.get(target, bound);
  if (metadata.uid === exact.uid && metadata.resourceVersion === resourceVersion) return;
  throw new OldPictureError(
    `Cannot act on ${resource.kind} ${exact.namespace}/${exact.name} because it has changed since: version ${metadata.resourceVersion} after ${resourceVersion}`,
  );
}

/** Reads exactly this object from the server itself; absent where it is gone, or replaced by another uid. */
export async function readExact(
  client: ApiClient,
  { resource, exact }: Readonly<{ resource: Resource; exact: Exact }>,
  bound: Bound,
): Promise<KubeObject | "Absent"> {
  try {
    const found = await client.get<KubeObject>({ resource, namespace: exact.namespace, name: exact.name }, bound);
    return found.metadata.uid === exact.uid ? found : "Absent";
  } catch (error) {
    if (isNotFound(error)) return "Absent";
    throw error;
  }
}

/** A merge patch of metadata that only the version decided on accepts. */
export function patchExact<T extends KubeObject>(
  client: ApiClient,
  patch: Readonly<{
    resource: Resource;
    exact: Exact;
    resourceVersion: string;
    metadata: Readonly<Record<string, unknown>>;
  }>,
  bound: Bound,
): Promise<T> {
  const { resource, exact, resourceVersion, metadata } = patch;
  const target = { resource, namespace: exact.namespace, name: exact.name };
  return client.mergePatch<T>(target, { metadata: { ...metadata, uid: exact.uid, resourceVersion } }, bound);
}
