import { arch, hostname, platform, release } from "node:os";
import { z } from "zod";
import type { ApiClient } from "../control-plane/api-client.ts";
import { isConflict, isNotFound } from "../control-plane/api-error.ts";
import { Backoff, pause } from "./backoff.ts";

/** What a node says about itself. */
export interface NodeDescription {
  readonly name: string;
  readonly address: string;
  readonly capacity: Readonly<Record<string, string>>;
  /** Where it serves logs. */
  readonly logsPort: number;
}

const leasePeriodMs = 10_000;
const leaseSeconds = 40;
const leasesPath = "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases";
const architectures: Readonly<Record<string, string>> = { x64: "amd64", ia32: "386" };
const Identified = z.object({ metadata: z.object({ uid: z.string() }) });

/** A node's object and lease in the API server. */
export class NodeObject {
  readonly #client: ApiClient;
  readonly #node: NodeDescription;
  readonly #path: string;
  #uid = "";

  constructor(client: ApiClient, node: NodeDescription) {
    this.#client = client;
    this.#node = node;
    this.#path = `/api/v1/nodes/${node.name}`;
  }

  /** Creates the node, or takes over the one of that name. Ready when this returns. */
  async register(signal: AbortSignal): Promise<void> {
    const body = { apiVersion: "v1", kind: "Node", ...this.#labels(), status: this.#status("True") };
    try {
      const created = await this.#client.call({ method: "POST", path: "/api/v1/nodes", body, signal });
      this.#uid = Identified.parse(created).metadata.uid;
    } catch (error) {
      if (!isConflict(error)) throw error;
      const labelled = await this.#patch(this.#path, this.#labels(), signal);
      this.#uid = Identified.parse(labelled).metadata.uid;
      await this.#report("True", signal);
    }
    await this.#renew(signal);
  }

  /** Renews lease and status until the signal; whatever fails is tried again. */
  async keepAlive(signal: AbortSignal, onError: (error: unknown) => void): Promise<void> {
    const backoff = new Backoff(200, leasePeriodMs);
    while (!signal.aborted) {
      await pause(leasePeriodMs, signal);
      if (signal.aborted) return;
      try {
        await this.#renew(signal);
        await this.#report("True", signal);
        backoff.reset();
      } catch (error) {
        if (signal.aborted) return;
        onError(error);
        await pause(backoff.next(), signal);
      }
    }
  }

  /** Says that the node is not ready, as a node does that is shut down in good order. */
  async reportNotReady(): Promise<void> {
    await this.#report("False", AbortSignal.timeout(5_000));
  }

  /** Takes the node and its lease out of the cluster. */
  async remove(): Promise<void> {
    const signal = AbortSignal.timeout(5_000);
    for (const path of [this.#path, `${leasesPath}/${this.#node.name}`]) {
      try {
        await this.#client.call({ method: "DELETE", path, signal });
      } catch (error) {
        if (!isNotFound(error)) throw error;
      }
    }
  }

  async #report(ready: "True" | "False", signal: AbortSignal): Promise<void> {
    const path = `${this.#path}/status`;
    await this.#patch(path, { status: this.#status(ready) }, signal);
  }

  async #renew(signal: AbortSignal): Promise<void> {
    const { name } = this.#node;
    const owner = { apiVersion: "v1", kind: "Node", name, uid: this.#uid };
    const lease = {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: { name, namespace: "kube-node-lease", ownerReferences: [owner] },
      spec: { holderIdentity: name, leaseDurationSeconds: leaseSeconds, renewTime: microTime() },
    };
    try {
      await this.#patch(`${leasesPath}/${name}`, lease, signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      await this.#client.call({ method: "POST", path: leasesPath, body: lease, signal });
    }
  }

  #patch(path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    return this.#client.call({ method: "PATCH", path, body, patch: "strategic-merge", signal });
  }

  #labels(): Record<string, unknown> {
    const labels = {
      "kubernetes.io/hostname": this.#node.name,
      "kubernetes.io/os": platform() === "win32" ? "windows" : platform(),
      "kubernetes.io/arch": architectures[arch()] ?? arch(),
      "trainingrun.dev/process-node": "true",
    };
    return { metadata: { name: this.#node.name, labels } };
  }

  #status(ready: "True" | "False"): Record<string, unknown> {
    const { address, capacity, logsPort } = this.#node;
    const now = new Date().toISOString();
    const conditions = [
      condition("Ready", ready, { reason: "ProcessNode", message: "this node runs containers as processes" }, now),
      condition("MemoryPressure", "False", { reason: "NotMeasured", message: "" }, now),
      condition("DiskPressure", "False", { reason: "NotMeasured", message: "" }, now),
      condition("PIDPressure", "False", { reason: "NotMeasured", message: "" }, now),
    ];
    return {
      addresses: [
        { type: "InternalIP", address },
        { type: "Hostname", address },
      ],
      capacity,
      allocatable: capacity,
      conditions,
      daemonEndpoints: { kubeletEndpoint: { Port: logsPort } },
      nodeInfo: nodeInfo(),
    };
  }
}

function condition(
  type: string,
  status: string,
  because: { reason: string; message: string },
  now: string,
): Record<string, unknown> {
  return { type, status, ...because, lastHeartbeatTime: now, lastTransitionTime: now };
}

function nodeInfo(): Record<string, string> {
  return {
    machineID: hostname(),
    systemUUID: hostname(),
    bootID: hostname(),
    kernelVersion: release(),
    osImage: platform(),
    operatingSystem: platform(),
    architecture: architectures[arch()] ?? arch(),
    containerRuntimeVersion: `process-node://${process.versions.node}`,
    kubeletVersion: "v1.35.4-process-node",
    kubeProxyVersion: "",
  };
}

// The API server refuses a lease's renewTime without six digits of a second.
function microTime(): string {
  return new Date().toISOString().replace("Z", "000Z");
}
