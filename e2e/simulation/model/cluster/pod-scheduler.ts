import { claims, nodes, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { Refusal } from "../api/answers.ts";
import { Errands } from "../api/errands.ts";
import { type Fields, fieldsOf, keyIn, listOf, type StoredObject, timestamp } from "../api/object.ts";
import { bindPod } from "../api/pod-requests.ts";
import type { ClusterParts } from "./cluster-parts.ts";
import type { Volumes } from "./volumes.ts";

const actor = { role: "Scheduler", name: "default-scheduler" } as const;

/** Gives pods to nodes that have room for them: those that the pod would rather not have come last. */
export class PodScheduler {
  readonly #parts: ClusterParts;
  readonly #volumes: Volumes;
  readonly #podsPerNode: number;
  readonly #errands: Errands;
  readonly #closed = new Set<() => void>();

  constructor(parts: ClusterParts, { volumes, podsPerNode }: Readonly<{ volumes: Volumes; podsPerNode: number }>) {
    this.#parts = parts;
    this.#volumes = volumes;
    this.#podsPerNode = podsPerNode;
    const { scheduler, api, delays } = parts;
    this.#errands = new Errands(
      {
        defer: (delayMs, run) => void scheduler.after(scheduler.world, delayMs, run),
        delayMs: () => delays.ms("schedule", "pods"),
      },
      (key) => this.#schedule(key),
    );
    api.store.listen((resource, { type, object }) => {
      const { plural } = resource;
      if (plural === pods.plural && type !== "DELETED" && isUnscheduled(object)) this.#ask(object);
      // Whatever makes room, or brings what a pod waits for.
      const makesRoom = plural === pods.plural && (type === "DELETED" || hasEnded(object));
      if (makesRoom || plural === nodes.plural || plural === claims.plural) this.#askAll();
    });
  }

  /** Gives no pod to any node until the function returned is called; `told` of each that waits for one. */
  close(told: () => void): () => void {
    this.#closed.add(told);
    return () => {
      this.#closed.delete(told);
      this.#askAll();
    };
  }

  #ask(pod: StoredObject): void {
    this.#errands.ask(keyIn(pod.metadata));
  }

  #askAll(): void {
    for (const { object } of this.#parts.api.store.list(pods, undefined)) if (isUnscheduled(object)) this.#ask(object);
  }

  #schedule(key: string): void {
    const { api, acting, scheduler } = this.#parts;
    const pod = api.store.get(pods, key)?.object;
    if (pod === undefined || !isUnscheduled(pod)) return;
    const { namespace = "", name } = pod.metadata;
    const found = this.#claimsOf(pod);
    const node = typeof found === "string" ? found : this.#nodeFor(pod);
    const now = scheduler.epochMs + scheduler.now;
    acting.by(actor, () => {
      if (typeof found === "string" || node === null) {
        this.#tellUnschedulable(pod, typeof found === "string" ? found : this.#noRoom());
        return;
      }
      for (const claim of found) this.#volumes.bind(claim);
      bindPod(api, { namespace, name }, { target: { name: node } }, now);
    });
  }

  /** The claims that the pod uses; what is wrong with one of them where it cannot be used. */
  #claimsOf(pod: StoredObject): readonly StoredObject[] | string {
    const names = listOf(fieldsOf(pod.spec).volumes).flatMap((volume) => {
      const { claimName } = fieldsOf(fieldsOf(volume).persistentVolumeClaim);
      return typeof claimName === "string" ? [claimName] : [];
    });
    const found: StoredObject[] = [];
    for (const name of names) {
      const claim = this.#parts.api.store.get(claims, `${pod.metadata.namespace}/${name}`)?.object;
      if (claim === undefined) return `persistentvolumeclaim "${name}" not found`;
      if (claim.metadata.deletionTimestamp !== undefined) return `persistentvolumeclaim "${name}" is being deleted`;
      found.push(claim);
    }
    return found;
  }

  #nodeFor(pod: StoredObject): string | null {
    for (const told of this.#closed) told();
    if (this.#closed.size > 0) return null;
    const { api, scheduler } = this.#parts;
    const unwanted = unwantedNodes(pod);
    const { namespace, name } = pod.metadata;
    const fitting = api.store
      .list(nodes, undefined)
      .map(({ object }) => object)
      .filter((node) => takesPods(node) && this.#podsOn(node.metadata.name) < this.#podsPerNode)
      .map((node) => ({
        node: node.metadata.name,
        isUnwanted: unwanted.includes(node.metadata.name),
        score: scheduler.chance.draw("schedule", `${namespace}/${name} on ${node.metadata.name}`, 0),
      }))
      .toSorted((a, b) => Number(a.isUnwanted) - Number(b.isUnwanted) || a.score - b.score);
    return fitting[0]?.node ?? null;
  }

  #podsOn(node: string): number {
    return this.#parts.api.store
      .list(pods, undefined)
      .filter(({ object }) => fieldsOf(object.spec).nodeName === node && !hasEnded(object)).length;
  }

  #noRoom(): string {
    const all = this.#parts.api.store.list(nodes, undefined).length;
    return `0/${all} nodes are available: ${all} node(s) had no room or did not take pods.`;
  }

  #tellUnschedulable(pod: StoredObject, message: string): void {
    const { api, scheduler } = this.#parts;
    const { namespace, name, uid } = pod.metadata;
    const status = fieldsOf(pod.status);
    const before = listOf(status.conditions).map(fieldsOf);
    const old = before.find(({ type }) => type === "PodScheduled");
    if (old?.message === message) return;
    const lastTransitionTime = old?.lastTransitionTime ?? timestamp(scheduler.epochMs + scheduler.now);
    const condition = { type: "PodScheduled", status: "False", reason: "Unschedulable", message, lastTransitionTime };
    const conditions = [...before.filter(({ type }) => type !== "PodScheduled"), condition];
    const target = { resource: pods, namespace, name, subresource: "status" };
    try {
      api.patch(target, "application/merge-patch+json", { metadata: { uid }, status: { conditions } });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // The pod has gone meanwhile.
    }
  }
}

function isUnscheduled(pod: StoredObject): boolean {
  const { nodeName, schedulingGates } = fieldsOf(pod.spec);
  const isGated = listOf(schedulingGates).length > 0;
  return nodeName === undefined && !isGated && pod.metadata.deletionTimestamp === undefined && !hasEnded(pod);
}

function hasEnded({ status }: StoredObject): boolean {
  const { phase } = fieldsOf(status);
  return phase === "Succeeded" || phase === "Failed";
}

/** Whether a node is ready and neither cordoned nor tainted. */
function takesPods({ spec, status, metadata }: StoredObject): boolean {
  const { unschedulable, taints } = fieldsOf(spec);
  const ready = listOf(fieldsOf(status).conditions)
    .map(fieldsOf)
    .find(({ type }) => type === "Ready");
  const isSound = ready?.status === "True" && metadata.deletionTimestamp === undefined;
  return isSound && unschedulable !== true && listOf(taints).length === 0;
}

/** The nodes that the pod's affinity wishes to avoid. */
function unwantedNodes({ spec }: StoredObject): readonly unknown[] {
  const { nodeAffinity } = fieldsOf(fieldsOf(spec).affinity);
  const wishes = listOf(fieldsOf(nodeAffinity).preferredDuringSchedulingIgnoredDuringExecution);
  return wishes.flatMap((wish) =>
    listOf(fieldsOf(fieldsOf(wish).preference).matchFields).flatMap((field: unknown) => {
      const { operator, values }: Fields = fieldsOf(field);
      return operator === "NotIn" ? listOf(values) : [];
    }),
  );
}
