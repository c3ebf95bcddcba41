import type { Mending } from "../core/alteration.ts";
import { isRefusal } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import { controllerUid, type KubeObject } from "../kubernetes/kube-object.ts";
import { pods, type Resource } from "../kubernetes/resource.ts";
import { patchExact, readExact } from "../kubernetes/writes.ts";

/** Where pods are mended, and who is told of it. */
export type Mender = Readonly<{
  client: ApiClient;
  namespace: string;
  written: (resource: Resource, object: KubeObject) => void;
  bound: Bound;
}>;

/** How far pods were mended: those that have back all that they lacked, and the first reason why another has not. */
export type Mended = Readonly<{ done: readonly Mending[]; error: unknown }>;

/** Mends them one after the other. What is refused of one keeps no other from being mended. */
export async function mendPods(mendings: readonly Mending[], mender: Mender): Promise<Mended> {
  const done: Mending[] = [];
  let first: unknown;
  for (const mending of mendings) {
    try {
      await mendPod(mending, mender);
      done.push(mending);
    } catch (error) {
      first ??= error;
      if (!isRefusal(error)) break;
    }
  }
  return { done, error: first };
}

/**
 * Where all of it together is refused, what the run knows the pod by is put back alone, and the refusal is told: a queue
 * may hold that its own labels are for good by then, and no attempt is closed while a pod of it lacks ours.
 */
async function mendPod({ queue, ...own }: Mending, mender: Mender): Promise<void> {
  if (queue === undefined) return await putBack(own, mender);
  try {
    await putBack({ ...own, queue }, mender);
  } catch (error) {
    if (isRefusal(error)) await putBack(own, mender);
    throw error;
  }
}

/** As the pod stands now: others may have written on it since, and an owner that it has is not taken from it. */
async function putBack({ name, uid, labels, queue, owner }: Mending, mender: Mender): Promise<void> {
  const { client, namespace, written, bound } = mender;
  const target = { resource: pods, exact: { namespace, name, uid } };
  const found = await readExact(client, target, bound);
  if (found === "Absent") return;
  const { resourceVersion, ownerReferences = [] } = found.metadata;
  const others = ownerReferences.filter((each) => each.uid !== owner.uid);
  const owners = controllerUid(found) === undefined ? { ownerReferences: [...others, owner] } : {};
  const annotations = queue?.annotations === undefined ? {} : { annotations: queue.annotations };
  const metadata = { labels: { ...queue?.labels, ...labels }, ...annotations, ...owners };
  written(pods, await patchExact<KubeObject>(client, { ...target, resourceVersion, metadata }, bound));
}
