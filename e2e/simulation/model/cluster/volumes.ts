import { claims, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import type { StoredObject } from "../api/object.ts";
import { fieldsOf, listOf } from "../api/object.ts";
import type { Disk } from "../disk/disk.ts";
import type { ClusterParts } from "./cluster-parts.ts";

/** What a claim is bound to. */
export type Volume = Readonly<{
  name: string;
  disk: Disk;
  /** Whether several nodes may have it at once. */
  isShared: boolean;
  /** By which pods it is used on which node. */
  usedOn: Map<string, string>;
}>;

/** So long after a pod of a silent node is gone from the API its volume is taken off the node by force. */
const forcedDetachMs = 6 * 60_000;
const controller = { role: "Controller", name: "volumes" } as const;

/** The volumes of the cluster: made when the first pod that wants them has a node, and on one node at a time. */
export class Volumes {
  readonly #parts: ClusterParts;
  readonly #makeDisk: (isShared: boolean) => Disk;
  readonly #byClaim = new Map<string, Volume>();

  constructor(parts: ClusterParts, makeDisk: (isShared: boolean) => Disk) {
    this.#parts = parts;
    this.#makeDisk = makeDisk;
    parts.api.store.listen((resource, { type, object }) => {
      if (resource.plural === pods.plural && type === "DELETED") this.#podGone(object);
      if (resource.plural === claims.plural && type === "DELETED") this.#byClaim.delete(object.metadata.uid);
    });
  }

  /** Every volume that a claim is bound to. */
  get all(): readonly Volume[] {
    return [...this.#byClaim.values()];
  }

  /** The volume of a claim; undefined where it has none yet. */
  of(claim: StoredObject): Volume | undefined {
    return this.#byClaim.get(claim.metadata.uid);
  }

  /** Gives a claim its volume, where it has none. */
  bind(claim: StoredObject): void {
    const { uid, namespace, name } = claim.metadata;
    if (this.#byClaim.has(uid)) return;
    const { api, acting } = this.#parts;
    const isShared = listOf(fieldsOf(claim.spec).accessModes).includes("ReadWriteMany");
    this.#byClaim.set(uid, { name: `pvc-${uid}`, disk: this.#makeDisk(isShared), isShared, usedOn: new Map() });
    acting.by(controller, () => {
      const target = { resource: claims, namespace, name };
      api.patch(target, "application/merge-patch+json", { spec: { volumeName: `pvc-${uid}` } });
      const status = { phase: "Bound", accessModes: fieldsOf(claim.spec).accessModes };
      api.patch({ ...target, subresource: "status" }, "application/merge-patch+json", { status });
    });
  }

  /** Whether the pod has the volume on its node from now on: a volume of one node is not taken from another. */
  attach(volume: Volume, node: string, podUid: string): boolean {
    const isElsewhere = [...volume.usedOn.values()].some((other) => other !== node);
    if (isElsewhere && !volume.isShared) return false;
    volume.usedOn.set(podUid, node);
    return true;
  }

  /** The kubelet has taken down what the pod had mounted. */
  detach(podUid: string): void {
    for (const volume of this.#byClaim.values()) volume.usedOn.delete(podUid);
  }

  /** The volumes that this node has and no other may have. */
  onlyOn(node: string): readonly Volume[] {
    return this.all.filter(({ isShared, usedOn }) => !isShared && [...usedOn.values()].includes(node));
  }

  /** A person vouches that nothing runs on the node any more. */
  detachAllOf(node: string): void {
    for (const { usedOn } of this.#byClaim.values()) {
      for (const [podUid, where] of usedOn) if (where === node) usedOn.delete(podUid);
    }
  }

  /** By then the kubelet has done it itself, unless nothing is heard of it. */
  #podGone(pod: StoredObject): void {
    const { uid } = pod.metadata;
    const { scheduler } = this.#parts;
    if (!this.all.some(({ usedOn }) => usedOn.has(uid))) return;
    scheduler.after(scheduler.world, forcedDetachMs, () => this.detach(uid), "background");
  }
}
