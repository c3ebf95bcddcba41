import type { AgentRecord, TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { nodes, pods } from "../src/kubernetes/resource.ts";

const forever = { signal: new AbortController().signal };

/** How a container ended. */
export type End = Readonly<{ exitCode: number; reason?: string; record?: TrainerRecord | AgentRecord }>;

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
    const conditions = [{ type: "Ready", status: "True", reason: "KubeletReady", lastTransitionTime: time() }];
    await this.#client.mergePatch(
      { resource: nodes, name: this.#node, subresource: "status" },
      { status: { conditions } },
      forever,
    );
  }

  /** Binds the pod to the node and reports agent and trainer as running. */
  async start(name: string): Promise<KubeObject> {
    const binding = {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name, namespace: this.#namespace },
      target: { apiVersion: "v1", kind: "Node", name: this.#node },
    };
    await this.#client.create({ ...this.#target(name), subresource: "binding" }, binding, forever);
    const running = { running: { startedAt: time() } };
    return await this.#report(name, {
      phase: "Running",
      initContainerStatuses: [container("agent", running)],
      containerStatuses: [container("trainer", running)],
    });
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
