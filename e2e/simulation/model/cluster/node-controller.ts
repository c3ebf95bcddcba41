import { nodes, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { Refusal } from "../api/answers.ts";
import { type Fields, fieldsOf, listOf, type StoredObject, timestamp } from "../api/object.ts";
import type { ClusterParts } from "./cluster-parts.ts";
import type { Machine } from "./machine.ts";
import type { Volumes } from "./volumes.ts";

/** So long a node may be silent before nobody takes it for well. */
const graceMs = 40_000;
/** So long after a node object is gone its pods are given up. */
const quarantineMs = 40_000;
const unreachable = "node.kubernetes.io/unreachable";
const outOfService = "node.kubernetes.io/out-of-service";
const actor = { role: "Controller", name: "node-lifecycle" } as const;

/** A taint on a node, and who put it there. */
type Tainted = Readonly<{ node: string; by: string; key: unknown }>;

/** What the cluster makes of its nodes: it hears of them, or does not, and then ends their pods. */
export class NodeController {
  readonly #parts: ClusterParts;
  readonly #volumes: Volumes;
  /** The taints of each node, by who put them there. */
  readonly #taints = new Map<string, Map<string, readonly Fields[]>>();

  constructor(parts: ClusterParts, volumes: Volumes) {
    this.#parts = parts;
    this.#volumes = volumes;
    parts.api.store.listen((resource, { type, object }) => {
      if (resource.plural === nodes.plural && type === "DELETED") {
        this.#taints.delete(object.metadata.name);
        const { name } = object.metadata;
        this.#later(quarantineMs, () => {
          if (!this.#exists(name)) this.#collectPods(name);
        });
      }
    });
  }

  /** A node says that it is there and well, for the first time or again. */
  register(machine: Machine): void {
    const { api, acting } = this.#parts;
    const by = { role: "Kubelet", name: machine.name } as const;
    if (!this.#exists(machine.name)) {
      this.#taints.delete(machine.name);
      acting.by(by, () => api.create({ resource: nodes }, { metadata: { name: machine.name }, spec: {} }));
    }
    this.#tellReady(machine, { status: "True", reason: "KubeletReady", message: "kubelet is posting ready status" });
    this.taint(machine, "node-lifecycle", []);
  }

  /** A node that is about to be shut down takes no pods any more, and says so. */
  tellGoingDown(machine: Machine): void {
    this.#tellReady(machine, { status: "False", reason: "KubeletNotReady", message: "node is shutting down" });
  }

  /** Nothing may be heard of the machine from now on: looked at again when a well node would have said something. */
  watchOver(machine: Machine): void {
    this.#later(graceMs, () => {
      if (machine.isHeard || !this.#exists(machine.name)) return;
      const message = "Kubelet stopped posting node status.";
      this.#tellReady(machine, { status: "Unknown", reason: "NodeStatusUnknown", message });
      this.taint(machine, "node-lifecycle", [
        { key: unreachable, effect: "NoSchedule" },
        { key: unreachable, effect: "NoExecute" },
      ]);
    });
  }

  /** Puts taints on the node in the place of those that the same has put there before, and ends what does not bear them. */
  taint({ name }: Machine, by: string, taints: readonly Fields[]): void {
    const all = this.#taints.get(name) ?? new Map<string, readonly Fields[]>();
    this.#taints.set(name, all);
    if (!this.#exists(name) || (taints.length === 0 && !all.has(by))) return;
    if (taints.length === 0) all.delete(by);
    else all.set(by, taints);
    const left = [...all.values()].flat();
    const { api, acting } = this.#parts;
    const patch = { spec: { taints: left.length === 0 ? null : left } };
    acting.by(actor, () => api.patch({ resource: nodes, name }, "application/merge-patch+json", patch));
    for (const { key, effect } of taints) {
      if (effect !== "NoExecute" || key === outOfService) continue;
      for (const pod of this.#podsOn(name)) this.#evictWhenItsTimeIsUp({ node: name, by, key }, pod);
    }
  }

  /** A person vouches that the machine is off and stays so: its pods and volumes are given up at once. */
  takeOutOfService(machine: Machine): void {
    this.taint(machine, "person", [
      { key: outOfService, effect: "NoExecute" },
      { key: outOfService, effect: "NoSchedule" },
    ]);
    this.#volumes.detachAllOf(machine.name);
    this.#collectPods(machine.name);
  }

  /** A person takes the node out of the cluster. */
  remove(machine: Machine): void {
    this.#parts.acting.by({ role: "User", name: "admin" }, () => {
      this.#parts.api.remove({ resource: nodes, name: machine.name });
    });
  }

  /** The taint manager: a pod bears a taint as long as it says itself. */
  #evictWhenItsTimeIsUp({ node, by, key: taint }: Tainted, pod: StoredObject): void {
    const toleration = listOf(fieldsOf(pod.spec).tolerations)
      .map(fieldsOf)
      .find(({ key, effect }) => key === taint && (effect ?? "NoExecute") === "NoExecute");
    const { tolerationSeconds } = toleration ?? { tolerationSeconds: 0 };
    if (typeof tolerationSeconds !== "number") return;
    this.#later(tolerationSeconds * 1_000, () => {
      if (!this.#taints.get(node)?.has(by)) return;
      this.#endPod(pod, {
        reason: "DeletionByTaintManager",
        message: "Taint manager: deleting due to NoExecute taint",
      });
    });
  }

  /** Pods of a node that is gone: nobody is left who could say how they ended. */
  #collectPods(node: string): void {
    for (const pod of this.#podsOn(node)) {
      const condition = { reason: "DeletionByPodGC", message: "PodGC: node no longer exists" };
      this.#endPod(pod, condition, { phase: "Failed", gracePeriodSeconds: 0 });
    }
  }

  #endPod(
    { metadata: { namespace, name, uid } }: StoredObject,
    words: Readonly<{ reason: string; message: string }>,
    { phase, gracePeriodSeconds }: Readonly<{ phase?: "Failed"; gracePeriodSeconds?: number }> = {},
  ): void {
    const { api, acting } = this.#parts;
    const target = { resource: pods, namespace, name };
    const current = api.store.get(pods, `${namespace}/${name}`)?.object;
    if (current?.metadata.uid !== uid) return;
    if (phase === undefined && current.metadata.deletionTimestamp !== undefined) return;
    const condition = { type: "DisruptionTarget", status: "True", ...words, lastTransitionTime: this.#time() };
    const others = listOf(fieldsOf(current.status).conditions)
      .map(fieldsOf)
      .filter(({ type }) => type !== "DisruptionTarget");
    const status = { conditions: [...others, condition], ...(phase === undefined ? {} : { phase }) };
    acting.by(actor, () => {
      try {
        api.patch({ ...target, subresource: "status" }, "application/merge-patch+json", { metadata: { uid }, status });
        api.remove(target, { uid, ...(gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds }) });
      } catch (error) {
        if (!(error instanceof Refusal)) throw error;
        // It has gone meanwhile, or something refuses it for now: a node is looked at again when it is heard of.
      }
    });
  }

  #tellReady(machine: Machine, words: Readonly<{ status: string; reason: string; message: string }>): void {
    const { api, acting } = this.#parts;
    const target = { resource: nodes, name: machine.name, subresource: "status" };
    const conditions: readonly Fields[] = [{ type: "Ready", ...words, lastTransitionTime: this.#time() }];
    acting.by(actor, () => api.patch(target, "application/merge-patch+json", { status: { conditions } }));
  }

  #podsOn(node: string): readonly StoredObject[] {
    const all = this.#parts.api.store.list(pods, undefined).map(({ object }) => object);
    return all.filter(({ spec }) => fieldsOf(spec).nodeName === node);
  }

  #exists(node: string): boolean {
    return this.#parts.api.store.get(nodes, node) !== undefined;
  }

  #later(delayMs: number, run: () => void): void {
    const { scheduler } = this.#parts;
    scheduler.after(scheduler.world, delayMs, run, "background");
  }

  #time(): string {
    const { scheduler } = this.#parts;
    return timestamp(scheduler.epochMs + scheduler.now);
  }
}
