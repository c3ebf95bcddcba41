import type { AgentRecord, RemovalRecord, TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { nodes, pods } from "../src/kubernetes/resource.ts";

/** The kubelet speaks of events as they were before they had a group. */
const coreEvents = { group: "", version: "v1", plural: "events", kind: "Event", scope: "Namespaced" } as const;
const forever = { signal: new AbortController().signal };

/** How a container ended. */
export type End = Readonly<{ exitCode: number; reason?: string; record?: TrainerRecord | AgentRecord | RemovalRecord }>;

/**
 * Says about pods what a kubelet would say, through the API alone: nothing runs. With it a test plays scheduler,
 * kubelet and evictor of a real API server.
 */
export class FakeKubelet {
  readonly #client: ApiClient;
  readonly #namespace: string;
  readonly #node: string;

  constructor(client: ApiClient, where: Readonly<{ namespace: string; node: string }>) {
    this.#client = client;
    this.#namespace = where.namespace;
    this.#node = where.node;
  }

  /** A node that is ready. */
  async register(): Promise<void> {
    await this.#client.create({ resource: nodes }, { metadata: { name: this.#node } }, forever);
    await this.#say({ status: "True", reason: "KubeletReady" });
  }

  /** As the node's controller says of one that it has heard nothing of. */
  fallSilent(): Promise<void> {
    return this.#say({ status: "Unknown", reason: "NodeStatusUnknown" });
  }

  /** Binds the pod to the node, a minute ago by the node's clock, and says nothing of its containers. */
  async bind(name: string): Promise<KubeObject> {
    const binding = {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name, namespace: this.#namespace },
      target: { apiVersion: "v1", kind: "Node", name: this.#node },
    };
    await this.#client.create({ ...this.#target(name), subresource: "binding" }, binding, forever);
    const since = new Date(Date.now() - 60_000).toISOString().replace(/\.\d+/, "");
    const conditions = [{ type: "PodScheduled", status: "True", lastTransitionTime: since }];
    return await this.#report(name, { phase: "Pending", conditions });
  }

  /** Says in an event what the pod's volumes lack, as the kubelet does. */
  async warn(name: string, message: string): Promise<void> {
    const { uid } = (await this.#client.get<KubeObject>(this.#target(name), forever)).metadata;
    const namespace = this.#namespace;
    const event = {
      metadata: { name: `${name}.${Date.now()}`, namespace },
      involvedObject: { apiVersion: "v1", kind: "Pod", name, namespace, uid },
      type: "Warning",
      reason: "FailedMount",
      message,
      source: { component: "kubelet", host: this.#node },
      firstTimestamp: time(),
      lastTimestamp: time(),
      count: 1,
    };
    await this.#client.create({ resource: coreEvents, namespace }, event, forever);
  }

  /** Reports agent and trainer of a bound pod as running. */
  async run(name: string): Promise<KubeObject> {
    const running = { running: { startedAt: time() } };
    return await this.#report(name, {
      phase: "Running",
      initContainerStatuses: [container("agent", running)],
      containerStatuses: [container("trainer", running)],
    });
  }

  /** Binds the pod to the node and reports agent and trainer as running. */
  async start(name: string): Promise<KubeObject> {
    await this.bind(name);
    return await this.run(name);
  }

  /** Reports the end of the one container of a pod that does not train; it is started again where it failed. */
  async endAlone(name: string, containerName: string, record: RemovalRecord): Promise<KubeObject> {
    if (record.kind === "deleted") {
      const ended = container(containerName, terminated({ exitCode: 0, record }));
      return await this.#report(name, { phase: "Succeeded", containerStatuses: [ended] });
    }
    const waiting = { waiting: { reason: "CrashLoopBackOff", message: "back-off 10s restarting failed container" } };
    const again = { ...container(containerName, waiting), lastState: terminated({ exitCode: 1, record }) };
    return await this.#report(name, { phase: "Running", containerStatuses: [again] });
  }

  /** Reports the ends of both containers, and so of the pod. */
  async end(name: string, ends: Readonly<{ trainer: End; agent: End }>): Promise<KubeObject> {
    return await this.#report(name, {
      phase: ends.trainer.exitCode === 0 ? "Succeeded" : "Failed",
      initContainerStatuses: [container("agent", terminated(ends.agent))],
      containerStatuses: [container("trainer", terminated(ends.trainer))],
    });
  }

  /** Evicts as the Eviction API does: a condition that says so, then a deletion that waits for the kubelet. */
  async evict(name: string): Promise<void> {
    const { metadata } = await this.#client.get<KubeObject>(this.#target(name), forever);
    const eviction = {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name, namespace: this.#namespace },
      deleteOptions: { preconditions: { uid: metadata.uid } },
    };
    await this.#client.create({ ...this.#target(name), subresource: "eviction" }, eviction, forever);
  }

  /** The kubelet's last word on a pod that is being deleted: the object may go, once its finalizers are off. */
  async release(name: string): Promise<void> {
    const { metadata } = await this.#client.get<KubeObject>(this.#target(name), forever);
    const options = { preconditions: { uid: metadata.uid }, gracePeriodSeconds: 0 };
    await this.#client.remove(this.#target(name), options, forever);
  }

  async #say(ready: Readonly<{ status: string; reason: string }>): Promise<void> {
    const conditions = [{ type: "Ready", ...ready, lastTransitionTime: time() }];
    await this.#client.mergePatch(
      { resource: nodes, name: this.#node, subresource: "status" },
      { status: { conditions } },
      forever,
    );
  }

  #target(name: string) {
    return { resource: pods, namespace: this.#namespace, name };
  }

  async #report(name: string, status: Record<string, unknown>): Promise<KubeObject> {
    return await this.#client.mergePatch<KubeObject>(
      { ...this.#target(name), subresource: "status" },
      { status },
      forever,
    );
  }
}

function container(name: string, state: Record<string, unknown>): Record<string, unknown> {
  return { name, state, ready: "running" in state, restartCount: 0, image: "image", imageID: "" };
}

function terminated(end: End): Record<string, unknown> {
  const { exitCode, reason = exitCode === 0 ? "Completed" : "Error", record } = end;
  const message = record === undefined ? "" : JSON.stringify(record);
  return { terminated: { exitCode, reason, message, startedAt: time(), finishedAt: time() } };
}

function time(): string {
  return new Date().toISOString().replace(/\.\d+/, "");
}
