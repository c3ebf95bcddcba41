import { accountingFinalizer, finalSaveFinalizer, labels } from "../api/names.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { isTheRuns, mendingOf, takeoverWords } from "../core/alteration.ts";
import type { Action, Decision, Manifest } from "../core/decision.ts";
import { openEntry } from "../core/ledger.ts";
import { observeRecorded } from "../core/observe-pod.ts";
import type { CreateRefusal, ObservedPod } from "../core/observed.ts";
import { type ApiError, isRefusal } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import { controllerUid, type KubeObject } from "../kubernetes/kube-object.ts";
import { claims, pods, type Resource, services } from "../kubernetes/resource.ts";
import {
  createOrAdopt,
  type Exact,
  ForeignObjectError,
  OldPictureError,
  patchExact,
  proveUnchanged,
  readExact,
  removeExact,
  removeFinalizer,
} from "../kubernetes/writes.ts";
import { trainingRuns } from "./caches.ts";
import { type Mended, mendPods } from "./mend-pod.ts";
import type { StatusWriter } from "./put-status.ts";
import { type StatusWrite, writeStatus } from "./write-status.ts";

/** Where a decision is written to, and who is told of what was written. */
export type Writers = StatusWriter & Readonly<{ client: ApiClient; created: (name: string) => void }>;

/** How far a decision was written. */
export type Applied = Readonly<{
  status: StatusWrite;
  /** The actions that were done, in their order. */
  done: readonly Action[];
  /** Why the rest was not tried; `refusal` where the API server will not have an object. */
  stopped: Readonly<{ error: unknown; refusal: CreateRefusal | undefined }> | undefined;
  /** Why a pod lacks what was to be put back on it; undefined where none does. */
  unmended: unknown;
}>;

/**
 * Writes a decision: the status first, since it holds the intent that the actions carry out, then the actions
 * in their order up to the first error. Dying between any two of them leaves a world from which the same
 * decision, or its rest, follows again. Without its status on record a decision does nothing, but for a deleted
 * run: nothing begins for it any more, and it must be let go whatever the server says of its status (L5).
 * What pods lack, those too that were found to stand already, is put back last: who refuses that must keep nothing else from
 * being done. Nor does a refused creation keep it from being done: a quota may be full for days.
 *
 * The write of the status proves that the picture is not old. Where there was nothing to write, the run is read again
 * before anything is created: this process may have been stopped for an hour since it looked.
 */
export async function apply(
  seen: Readonly<{ run: TrainingRun; raw: KubeObject; decision: Decision }>,
  writers: Writers,
  bound: Bound,
): Promise<Applied> {
  const { run, raw, decision } = seen;
  const status = await writeStatus({ stored: run.status, decided: decision.status, raw }, writers, bound);
  const done: Action[] = [];
  if (status.kind === "Refused" && raw.metadata.deletionTimestamp === undefined) {
    return { status, done, stopped: undefined, unmended: undefined };
  }
  let current = status.raw;
  let isProved = current !== raw;
  const adopted: ObservedPod[] = [];
  let stopped: Applied["stopped"];
  for (const action of decision.actions.filter((each) => each.kind !== "MendPod")) {
    try {
      if ("manifest" in action && !isProved) await proveRun(current, writers.client, bound);
      const before = current;
      current = await perform(action, { ...writers, run, raw: current, adopted, bound });
      isProved ||= "manifest" in action || current !== before;
      done.push(action);
    } catch (error) {
      stopped = { error, refusal: refusalOf(action, error, { raw, at: writers.now() }) };
      break;
    }
  }
  if (stopped !== undefined && stopped.refusal === undefined) return { status, done, stopped, unmended: undefined };
  const mended = await mend(seen, adopted, { ...writers, bound });
  return { status, done: [...done, ...mended.done], stopped, unmended: mended.error };
}

/** What was decided to be put back on pods, and then what those lack that were adopted under way. */
async function mend(
  { run, decision }: Readonly<{ run: TrainingRun; decision: Decision }>,
  adopted: readonly ObservedPod[],
  writing: Writers & Readonly<{ bound: Bound }>,
): Promise<Mended> {
  const decided = decision.actions.filter((action) => action.kind === "MendPod");
  const entry = openEntry(decision.status);
  const mendings = [...decided, ...adopted.flatMap((pod) => mendingOf(run, pod, entry))];
  return await mendPods(mendings, { ...writing, namespace: run.metadata.namespace });
}

/** Where an action is done; `adopted` is told of pods that stood already. */
type Place = Writers & Readonly<{ run: TrainingRun; raw: KubeObject; adopted: ObservedPod[]; bound: Bound }>;

/** Performs one action; returns the run as it stands after it. Pods are mended by {@link mend}. */
async function perform(action: Exclude<Action, { kind: "MendPod" }>, place: Place): Promise<KubeObject> {
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
      return await createPod(action, place);
    case "CreateRemovalPod":
      return await create(pods, action.manifest, place, (found) => controllerUid(found) === uidOf(place));
    case "DeleteClaim":
      return await deleteClaim(action, place);
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
  advice: (found: KubeObject) => string = () => "",
): Promise<KubeObject> {
  const { namespace, name } = manifest.metadata;
  const creation = { resource, namespace, name, object: manifest, isOurs, advice };
  const created = await createOrAdopt<KubeObject>(place.client, creation, place.bound);
  place.written(resource, created);
  place.created(name);
  return place.raw;
}

/**
 * One that stands already counts whatever somebody has made of its labels, or of its owner, before it was on record. Without
 * its labels no watch shows it, and it would train uncounted beside a run that says for ever that its name is taken.
 */
async function createPod(action: Extract<Action, { kind: "CreatePod" }>, place: Place): Promise<KubeObject> {
  const { run, adopted } = place;
  const read = (found: KubeObject) => observeRecorded(found, run, { attempt: action.attempt, worker: action.worker });
  const isOurs = (found: KubeObject) => {
    const pod = read(found);
    if (pod === null || !isTheRuns(run, pod)) return false;
    adopted.push(pod);
    return true;
  };
  const advice = (found: KubeObject) => {
    const pod = read(found);
    return pod === null ? "" : takeoverWords(run, pod);
  };
  return await create(pods, action.manifest, place, isOurs, advice);
}

async function proveRun({ metadata }: KubeObject, client: Writers["client"], bound: Bound): Promise<void> {
  const { namespace = "", name, uid, resourceVersion } = metadata;
  await proveUnchanged(client, { resource: trainingRuns, exact: { namespace, name, uid }, resourceVersion }, bound);
}

/** Data goes only while the claim says that it is the run's: somebody may have taken it over by its label. */
async function deleteClaim(action: Readonly<{ name: string; uid: string }>, place: Place): Promise<KubeObject> {
  const target = { resource: claims, exact: exact(action, place) };
  const found = await readExact(place.client, target, place.bound);
  if (found === "Absent") return place.raw;
  const { labels: carried, resourceVersion } = found.metadata;
  if (carried?.[labels.runUid] !== uidOf(place)) {
    throw new OldPictureError(
      `Cannot delete claim ${action.name} because it is not the run's any more: its label ${labels.runUid} is ${carried?.[labels.runUid]}`,
    );
  }
  await removeExact(place.client, { ...target, resourceVersion }, place.bound);
  return place.raw;
}

async function deletePod(action: Extract<Action, { kind: "DeletePod" }>, place: Place): Promise<KubeObject> {
  const removal = { resource: pods, exact: exact(action, place), options: action.force ? withoutGrace : {} };
  const removed = await removeExact(place.client, removal, place.bound);
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

/** The object goes without a word of its kubelet: only of what was given up, which the log shuts out. */
const withoutGrace = { gracePeriodSeconds: 0 } as const;

const createdKinds = {
  CreatePod: "Pod",
  CreateRemovalPod: "Pod",
  CreateClaim: "PersistentVolumeClaim",
  CreateService: "Service",
} as const;

function refusalOf(
  action: Action,
  error: unknown,
  { raw, at }: Readonly<{ raw: KubeObject; at: number }>,
): CreateRefusal | undefined {
  if (!("manifest" in action)) return undefined;
  const { name } = action.manifest.metadata;
  const { generation = 1 } = raw.metadata;
  const refused = { kind: createdKinds[action.kind], name, at, firstAt: at, inVainSince: at, generation } as const;
  if (error instanceof ForeignObjectError) {
    return { ...refused, status: 409, reason: "AlreadyExists", message: error.message };
  }
  if (!isRefusal(error)) return undefined;
  const { status, reason, detail }: ApiError = error;
  return { ...refused, status, reason, message: detail };
}

function uidOf({ raw }: Place): string {
  return raw.metadata.uid;
}

function exactRun(place: Place): Exact {
  return exact(place.raw.metadata, place);
}

/** An object of the run's namespace. */
function exact({ name, uid }: Readonly<{ name: string; uid: string }>, { raw }: Place): Exact {
  return { namespace: raw.metadata.namespace ?? "", name, uid };
}
