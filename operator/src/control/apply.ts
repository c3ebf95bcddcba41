import { accountingFinalizer, finalSaveFinalizer, labels } from "../api/names.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { Action, Decision, Manifest } from "../core/decision.ts";
import type { CreateRefusal } from "../core/observed.ts";
import { type ApiError, isRefusal } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import { controllerUid, type KubeObject } from "../kubernetes/kube-object.ts";
import { mergePatchOf } from "../kubernetes/merge-patch.ts";
import { claims, pods, type Resource, services } from "../kubernetes/resource.ts";
import { createOrAdopt, ForeignObjectError, patchExact, removeExact, removeFinalizer } from "../kubernetes/writes.ts";
import { trainingRuns } from "./caches.ts";

/** Where a decision is written to, and who is told of what was written. */
export type Writers = Readonly<{
  client: ApiClient;
  /** Every answer to a write, so that the next decision waits for it. */
  written: (resource: Resource, object: KubeObject) => void;
  created: (name: string) => void;
  /** The status stands as decided, whatever becomes of the actions. */
  statusWritten: () => void;
  now: () => number;
}>;

/** All of it is written, or a creation was refused and nothing after it was tried. */
export type Applied = Readonly<{ kind: "Written" }> | Readonly<{ kind: "Refused"; refusal: CreateRefusal }>;

/**
 * Writes a decision: the status first, since it holds the intent that the actions carry out, then the actions
 * in their order up to the first error. Dying between any two of them leaves a world from which the same
 * decision, or its rest, follows again.
 */
export async function apply(
  seen: Readonly<{ run: TrainingRun; raw: KubeObject; decision: Decision }>,
  writers: Writers,
  bound: Bound,
): Promise<Applied> {
  let raw = await writeStatus(seen, writers, bound);
  for (const action of seen.decision.actions) {
    try {
      raw = await perform(action, { ...writers, run: seen.run, raw, bound });
    } catch (error) {
      const refusal = refusalOf(action, error, writers.now());
      if (refusal === undefined) throw error;
      return { kind: "Refused", refusal };
    }
  }
  return { kind: "Written" };
}

type Place = Writers & Readonly<{ run: TrainingRun; raw: KubeObject; bound: Bound }>;

async function writeStatus(
  { run, raw, decision }: Readonly<{ run: TrainingRun; raw: KubeObject; decision: Decision }>,
  { client, written, statusWritten }: Writers,
  bound: Bound,
): Promise<KubeObject> {
  const change = mergePatchOf(run.status, decision.status);
  if (change === undefined) return raw;
  const { namespace, name, uid, resourceVersion } = raw.metadata;
  const target = { resource: trainingRuns, namespace, name, subresource: "status" };
  const answer = await client.mergePatch(target, { metadata: { uid, resourceVersion }, status: change }, bound);
  written(trainingRuns, answer);
  statusWritten();
  return answer;
}

/** Performs one action; returns the run as it stands after it. */
async function perform(action: Action, place: Place): Promise<KubeObject> {
  switch (action.kind) {
    case "HoldRun":
      return await holdRun(place);
    case "ReleaseRun":
      return await releaseRun(place);
    case "DeleteRun":
      await removeExact(
        place.client,
        { resource: trainingRuns, exact: exactRun(place), resourceVersion: place.raw.metadata.resourceVersion },
        place.bound,
      );
      return place.raw;
    case "CreateClaim":
      return await create(
        claims,
        action.manifest,
        place,
        (found) => found.metadata.labels?.[labels.runUid] === uidOf(place),
      );
    case "CreateService":
      return await create(services, action.manifest, place, (found) => controllerUid(found) === uidOf(place));
    case "CreatePod":
      return await create(pods, action.manifest, place, (found) => isThePod(found, action, place));
    case "DeleteClaim":
      await removeExact(place.client, { resource: claims, exact: exact(action, place) }, place.bound);
      return place.raw;
    case "DeletePod":
      return await deletePod(action, place);
    case "ReleasePod":
      return await releasePod(action, place);
    default:
      return action satisfies never;
  }
}

async function holdRun(place: Place): Promise<KubeObject> {
  const finalizers = place.raw.metadata.finalizers ?? [];
  if (finalizers.includes(finalSaveFinalizer)) return place.raw;
  const answer = await patchExact<KubeObject>(
    place.client,
    {
      resource: trainingRuns,
      exact: exactRun(place),
      resourceVersion: place.raw.metadata.resourceVersion,
      metadata: { finalizers: [...finalizers, finalSaveFinalizer] },
    },
    place.bound,
  );
  place.written(trainingRuns, answer);
  return answer;
}

async function releaseRun(place: Place): Promise<KubeObject> {
  const finalizers = place.raw.metadata.finalizers ?? [];
  const removal = { resource: trainingRuns, exact: exactRun(place), finalizers, finalizer: finalSaveFinalizer };
  const answer = await removeFinalizer(place.client, removal, place.bound);
  if (answer === "Absent") return place.raw;
  place.written(trainingRuns, answer);
  return answer;
}

async function create(
  resource: Resource,
  manifest: Manifest,
  place: Place,
  isOurs: (found: KubeObject) => boolean,
): Promise<KubeObject> {
  const { namespace, name } = manifest.metadata;
  const creation = { resource, namespace, name, object: manifest, isOurs };
  const created = await createOrAdopt<KubeObject>(place.client, creation, place.bound);
  place.written(resource, created);
  place.created(name);
  return place.raw;
}

async function deletePod(action: Readonly<{ name: string; uid: string }>, place: Place): Promise<KubeObject> {
  const removed = await removeExact(place.client, { resource: pods, exact: exact(action, place) }, place.bound);
  if (removed !== "Absent") place.written(pods, removed);
  return place.raw;
}

async function releasePod(action: Extract<Action, { kind: "ReleasePod" }>, place: Place): Promise<KubeObject> {
  const { finalizers } = action;
  const removal = { resource: pods, exact: exact(action, place), finalizers, finalizer: accountingFinalizer };
  const answer = await removeFinalizer(place.client, removal, place.bound);
  if (answer !== "Absent") place.written(pods, answer);
  return place.raw;
}

function isThePod(found: KubeObject, action: Extract<Action, { kind: "CreatePod" }>, place: Place): boolean {
  const carried = found.metadata.labels ?? {};
  return (
    controllerUid(found) === uidOf(place) &&
    carried[labels.attempt] === String(action.attempt) &&
    carried[labels.worker] === String(action.worker)
  );
}

function refusalOf(action: Action, error: unknown, at: number): CreateRefusal | undefined {
  if (!("manifest" in action)) return undefined;
  const { name } = action.manifest.metadata;
  const kind = ({ CreatePod: "Pod", CreateClaim: "PersistentVolumeClaim", CreateService: "Service" } as const)[
    action.kind
  ];
  if (error instanceof ForeignObjectError) {
    return { kind, name, status: 409, reason: "AlreadyExists", message: error.message, at };
  }
  if (!isRefusal(error)) return undefined;
  const { status, reason, detail }: ApiError = error;
  return { kind, name, status, reason, message: detail, at };
}

function uidOf(place: Place): string {
  return place.run.metadata.uid;
}

function exactRun({ run }: Place): Readonly<{ namespace: string; name: string; uid: string }> {
  return { namespace: run.metadata.namespace, name: run.metadata.name, uid: run.metadata.uid };
}

function exact(object: Readonly<{ name: string; uid: string }>, { run }: Place) {
  return { namespace: run.metadata.namespace, name: object.name, uid: object.uid };
}
