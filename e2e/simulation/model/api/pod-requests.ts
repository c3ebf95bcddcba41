import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { badRequest, conflict } from "./answers.ts";
import { readDeletion } from "./deletion.ts";
import type { ModelApi } from "./model-api.ts";
import { type Fields, fieldsOf, listOf, type StoredObject, timestamp } from "./object.ts";
import type { Revision } from "./store.ts";

/** Which pod. */
export type PodPlace = Readonly<{ namespace: string; name: string }>;

/** Gives a pod to a node, once and for all. */
export function bindPod(api: ModelApi, place: PodPlace, body: unknown, nowMs: number): Revision {
  const { target, metadata } = fieldsOf(body);
  const { name: node } = fieldsOf(target);
  const { uid } = fieldsOf(metadata);
  if (typeof node !== "string" || node === "") throw badRequest("target.name: Required value");
  const current = api.get({ resource: pods, ...place });
  const { spec, metadata: pod } = current.object;
  const { nodeName, schedulingGates } = fieldsOf(spec);
  const refuse = (why: string) => conflict(pods, `${place.name}/binding`, `pod ${place.name} ${why}`);
  if (typeof uid === "string" && uid !== "" && uid !== pod.uid) throw refuse(`has the uid ${pod.uid}`);
  if (pod.deletionTimestamp !== undefined) throw refuse("is being deleted, cannot be assigned to a host");
  if (nodeName !== undefined) throw refuse(`is already assigned to node ${JSON.stringify(nodeName)}`);
  if (listOf(schedulingGates).length > 0) throw refuse("has non-empty .spec.schedulingGates");
  const scheduled = { type: "PodScheduled", status: "True", lastProbeTime: null, lastTransitionTime: timestamp(nowMs) };
  const bound = (object: StoredObject) => ({
    ...withCondition(object, scheduled),
    spec: { ...fieldsOf(object.spec), nodeName: node },
  });
  return api.write(pods, bound, current);
}

/** Evicts a pod as the Eviction API does: a condition that says so, then a deletion. */
export function evictPod(api: ModelApi, place: PodPlace, body: unknown, nowMs: number): void {
  const target = { resource: pods, ...place };
  const asked = readDeletion(fieldsOf(body).deleteOptions);
  const current = api.get(target);
  const { uid } = current.object.metadata;
  if (asked.uid !== undefined && asked.uid !== uid) {
    const why = `the UID in the precondition (${asked.uid}) does not match the UID in record (${uid})`;
    throw conflict(pods, place.name, why);
  }
  const condition = {
    type: "DisruptionTarget",
    status: "True",
    lastProbeTime: null,
    lastTransitionTime: timestamp(nowMs),
    reason: "EvictionByEvictionAPI",
    message: "Eviction API: evicting",
  };
  api.write(pods, (object) => withCondition(object, condition), current);
  const { resourceVersion: _, ...rest } = asked;
  api.remove(target, { ...rest, uid });
}

/** The pod with the condition; one that says so already keeps the time since when it does. */
function withCondition(pod: StoredObject, condition: Fields): StoredObject {
  const status = fieldsOf(pod.status);
  const conditions = listOf(status.conditions).map(fieldsOf);
  if (conditions.some(({ type, status: word }) => type === condition.type && word === condition.status)) return pod;
  const others = conditions.filter(({ type }) => type !== condition.type);
  return { ...pod, status: { ...status, conditions: [...others, condition] } };
}
