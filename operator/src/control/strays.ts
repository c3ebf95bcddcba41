import { accountingFinalizer } from "../api/names.ts";
import { openEntry } from "../core/ledger.ts";
import { isConflict } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import { controllerUid, type KubeObject, placeOf } from "../kubernetes/kube-object.ts";
import { pods, type Resource } from "../kubernetes/resource.ts";
import { removeExact, removeFinalizer } from "../kubernetes/writes.ts";
import { type Caches, trainingRuns } from "./caches.ts";
import { runUidOf } from "./pod-owner.ts";
import { readLive } from "./read-live.ts";
import { parsedRun } from "./run-cache.ts";

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
 * it would train on for ever. A pod that is on record of the run that lives is none of these, whatever somebody has written
 * on it.
 */
export async function releaseStrays(key: string, keeper: StrayKeeper, bound: Bound): Promise<void> {
  const { caches, client, written } = keeper;
  const known = caches.runs.get(key)?.metadata.uid;
  const strays = caches.pods
    .find("run", key)
    .filter((pod) => runUidOf(pod) !== known && pod.metadata.finalizers?.includes(accountingFinalizer));
  if (strays.length === 0) return;
  const run = await readLive(trainingRuns, placeOf(key), { client, bound });
  const living = run?.metadata.uid;
  for (const pod of strays) {
    // One that does not say whose it is may be the run's that lives.
    const isItsOwn = living !== undefined && (runUidOf(pod) ?? living) === living;
    if (isItsOwn || isOnRecord(pod, run)) continue;
    try {
      await letGo(pod, { client, written, bound });
    } catch (error) {
      // It is another than it was seen: its own event brings it back, and it keeps nothing of the run's waiting.
      if (!isConflict(error)) throw error;
    }
  }
}

/** What a pod says that was changed by hand is not true: it is what the ledger has it for, and is mended as that. */
function isOnRecord(pod: KubeObject, run: KubeObject | undefined): boolean {
  if (run === undefined) return false;
  const parsed = parsedRun(run);
  // What the ledger of a run says that cannot be read is not known: one that nobody owns may be on it.
  if (parsed.kind !== "Run") return controllerUid(pod) === undefined;
  return openEntry(parsed.run.status)?.pods.some(({ uid }) => uid === pod.metadata.uid) ?? false;
}

type Hand = Pick<StrayKeeper, "client" | "written"> & Readonly<{ bound: Bound }>;

async function letGo(pod: KubeObject, { client, written, bound }: Hand): Promise<void> {
  const { namespace = "", name, uid, resourceVersion, finalizers = [], deletionTimestamp } = pod.metadata;
  const stray = { resource: pods, exact: { namespace, name, uid } };
  if (deletionTimestamp === undefined && controllerUid(pod) === undefined) {
    // As it was seen: somebody may have given it an owner since.
    const stopped = await removeExact(client, { ...stray, resourceVersion }, bound);
    if (stopped !== "Absent") written(pods, stopped);
  }
  const removal = { ...stray, finalizers, finalizer: accountingFinalizer };
  const answer = await removeFinalizer(client, removal, bound);
  if (answer !== "Absent") written(pods, answer);
}

/** The uid of the run that now has this key, from the server itself. */
export async function livingUid(key: string, client: ApiClient, bound: Bound): Promise<string | undefined> {
  return (await readLive(trainingRuns, placeOf(key), { client, bound }))?.metadata.uid;
}
