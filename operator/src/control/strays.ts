import { accountingFinalizer } from "../api/names.ts";
import { isNotFound } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import { controllerUid, type KubeObject, placeOf } from "../kubernetes/kube-object.ts";
import { pods, type Resource } from "../kubernetes/resource.ts";
import { removeExact, removeFinalizer } from "../kubernetes/writes.ts";
import { type Caches, trainingRuns } from "./caches.ts";
import { runUidOf } from "./pod-owner.ts";

/** What letting strays go takes. */
export type StrayKeeper = Readonly<{
  caches: Pick<Caches, "runs" | "pods">;
  client: ApiClient;
  written: (resource: Resource, object: KubeObject) => void;
}>;

/**
 * Lets pods go whose run was taken away past its finalizer, or that a creation made after its answer was given up:
 * there is no ledger left that could count them, and garbage collection waits for our finalizer (L5). That the run
 * is gone is read live: an older copy could lack a run that has just been made.
 *
 * One that nobody owns is asked to stop as well: the garbage collector, which does that to the others, would leave it, and
 * it would train on for ever.
 */
export async function releaseStrays(key: string, keeper: StrayKeeper, bound: Bound): Promise<void> {
  const { caches, client, written } = keeper;
  const known = caches.runs.get(key)?.metadata.uid;
  const strays = caches.pods
    .find("run", key)
    .filter((pod) => runUidOf(pod) !== known && pod.metadata.finalizers?.includes(accountingFinalizer));
  if (strays.length === 0) return;
  const living = await livingUid(key, client, bound);
  // One that does not say whose it is may be the run's that lives.
  for (const pod of strays.filter((each) => (runUidOf(each) ?? living) !== living || living === undefined)) {
    const { namespace = "", name, uid, finalizers = [], deletionTimestamp } = pod.metadata;
    const stray = { resource: pods, exact: { namespace, name, uid } };
    if (deletionTimestamp === undefined && controllerUid(pod) === undefined) {
      const stopped = await removeExact(client, stray, bound);
      if (stopped !== "Absent") written(pods, stopped);
    }
    const removal = { ...stray, finalizers, finalizer: accountingFinalizer };
    const answer = await removeFinalizer(client, removal, bound);
    if (answer !== "Absent") written(pods, answer);
  }
}

/** The uid of the run that now has this key, from the server itself. */
export async function livingUid(key: string, client: ApiClient, bound: Bound): Promise<string | undefined> {
  try {
    return (await client.get({ resource: trainingRuns, ...placeOf(key) }, bound)).metadata.uid;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
