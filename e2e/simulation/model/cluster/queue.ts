import { labels, queueAnnotations } from "@trainingrun/operator/api/names.ts";
import { pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { Errands } from "../api/errands.ts";
import { type Fields, fieldsOf, keyIn, listOf, type StoredObject, timestamp } from "../api/object.ts";
import type { ClusterParts } from "./cluster-parts.ts";

//   made ──► held back ──there is room, and all of its group are there──► let go ──► over: its object may go
//                                                                           └── taken back: told so, and deleted

const actor = { role: "Controller", name: "queue" } as const;
const gate = "kueue.x-k8s.io/admission";
/** Keeps a pod's object until the queue knows that its room is free. */
const managed = "kueue.x-k8s.io/managed";

/** A pod as the queue's webhook has it created: held back from the scheduler, where it is in a queue. */
export function heldBack(created: StoredObject): StoredObject {
  const { kind, metadata, spec } = created;
  if (kind !== "Pod" || metadata.labels?.[labels.queue] === undefined) return created;
  return {
    ...created,
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, [managed]: "true" },
      finalizers: [...(metadata.finalizers ?? []), managed],
    },
    spec: { ...fieldsOf(spec), schedulingGates: [...gatesOf(created), { name: gate }] },
  };
}

/** What Kueue does with the pods of a queue: it lets them go when there is room for all of a group, and takes them back. */
export class Queue {
  readonly #parts: ClusterParts;
  readonly #errands: Errands;
  readonly #holds = new Set<(pod: StoredObject) => boolean>();

  constructor(parts: ClusterParts) {
    this.#parts = parts;
    const { scheduler, api, delays } = parts;
    this.#errands = new Errands(
      {
        defer: (delayMs, run) => void scheduler.after(scheduler.world, delayMs, run),
        delayMs: () => delays.ms("admit", "pods"),
      },
      (key) => this.#look(key),
    );
    api.store.listen(({ plural }, { type, object }) => {
      if (plural === pods.plural && type !== "DELETED" && isConcerned(object))
        this.#errands.ask(keyIn(object.metadata));
    });
  }

  /** Has no room for the pods that `holds` chooses until the function returned is called. */
  hold(holds: (pod: StoredObject) => boolean): () => void {
    this.#holds.add(holds);
    return () => {
      this.#holds.delete(holds);
      for (const { object } of this.#parts.api.store.list(pods, undefined)) {
        if (isConcerned(object)) this.#errands.ask(keyIn(object.metadata));
      }
    };
  }

  /** Takes the room of a pod and its group back for others; false where they have none. */
  takeBack(pod: StoredObject): boolean {
    if (!isManaged(pod) || isHeldBack(pod)) return false;
    for (const each of this.#groupOf(pod)) this.#evict(each);
    return true;
  }

  #look(key: string): void {
    const pod = this.#parts.api.store.get(pods, key)?.object;
    if (pod === undefined || !isConcerned(pod)) return;
    if (isOver(pod)) this.#patch(pod, { finalizers: pod.metadata.finalizers?.filter((each) => each !== managed) });
    else this.#admit(pod);
  }

  #admit(pod: StoredObject): void {
    const group = this.#groupOf(pod);
    const { annotations = {} } = pod.metadata;
    const isWhole = group.length >= Number(annotations[queueAnnotations.groupSize] ?? 1);
    const isHeld = [...this.#holds].filter((holds) => holds(pod)).length > 0;
    if (!isWhole || isHeld) return;
    for (const each of group) {
      const others = gatesOf(each).filter((one) => fieldsOf(one).name !== gate);
      this.#patch(each, {}, { schedulingGates: others.length === 0 ? null : others });
    }
  }

  /** The pods that are let go together with this one, and it; none that is to go. */
  #groupOf(pod: StoredObject): readonly StoredObject[] {
    const group = pod.metadata.labels?.[labels.queueGroup];
    if (group === undefined) return [pod];
    return this.#parts.api.store
      .list(pods, pod.metadata.namespace)
      .map(({ object }) => object)
      .filter(
        ({ metadata }) => metadata.labels?.[labels.queueGroup] === group && metadata.deletionTimestamp === undefined,
      );
  }

  #evict({ metadata: { namespace, name, uid }, status }: StoredObject): void {
    const { api, acting, scheduler } = this.#parts;
    const condition = {
      type: "TerminationTarget",
      status: "True",
      reason: "WorkloadEvictedDueToPreempted",
      message: "Preempted to accommodate a workload of higher priority",
      lastTransitionTime: timestamp(scheduler.epochMs + scheduler.now),
    };
    const others = listOf(fieldsOf(status).conditions).filter((each) => fieldsOf(each).type !== condition.type);
    const target = { resource: pods, namespace, name };
    const patch = { metadata: { uid }, status: { conditions: [...others, condition] } };
    acting.by(actor, () => {
      api.patch({ ...target, subresource: "status" }, "application/merge-patch+json", patch);
      api.remove(target, { uid });
    });
  }

  #patch({ metadata: { namespace, name, uid } }: StoredObject, metadata: Fields, spec: Fields = {}): void {
    const { api, acting } = this.#parts;
    const target = { resource: pods, namespace, name };
    const patch = { metadata: { uid, ...metadata }, spec };
    acting.by(actor, () => api.patch(target, "application/merge-patch+json", patch));
  }
}

function isConcerned(pod: StoredObject): boolean {
  return isManaged(pod) && (isOver(pod) || isHeldBack(pod));
}

function isManaged({ metadata }: StoredObject): boolean {
  return metadata.finalizers?.includes(managed) ?? false;
}

function isHeldBack(pod: StoredObject): boolean {
  return gatesOf(pod).some((each) => fieldsOf(each).name === gate);
}

/** Nothing of it runs any more, or is going to: it has ended, was never given a node, or nobody waits for its kubelet. */
function isOver({ metadata, spec, status }: StoredObject): boolean {
  const { phase } = fieldsOf(status);
  if (phase === "Succeeded" || phase === "Failed") return true;
  if (metadata.deletionTimestamp === undefined) return false;
  return fieldsOf(spec).nodeName === undefined || metadata.deletionGracePeriodSeconds === 0;
}

function gatesOf({ spec }: StoredObject): readonly unknown[] {
  return listOf(fieldsOf(spec).schedulingGates);
}
