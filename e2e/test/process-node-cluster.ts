import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ApiClient, createApiClient } from "../cluster/control-plane/api-client.ts";
import { isNotFound } from "../cluster/control-plane/api-error.ts";
import { startControlPlane } from "../cluster/control-plane/control-plane.ts";
import { type ProcessNode, type ProcessNodeOptions, startProcessNode } from "../cluster/process-node/process-node.ts";

/** Any object of Kubernetes, as far as tests look into it. */
export interface KubernetesObject {
  readonly metadata: { readonly name: string; readonly uid: string; readonly deletionTimestamp?: string };
  // Tests assert whole parts of a status; its shape is the API server's.
  readonly status?: PodStatus;
}

/** The parts of a pod's status that tests look at. */
export interface PodStatus {
  readonly phase?: string;
  readonly reason?: string;
  readonly podIP?: string;
  readonly conditions?: readonly { type: string; status: string; reason?: string; message?: string }[];
  readonly containerStatuses?: readonly ContainerStatus[];
  readonly initContainerStatuses?: readonly ContainerStatus[];
  readonly succeeded?: number;
  readonly failed?: number;
}

/** One container's status. */
export interface ContainerStatus {
  readonly name: string;
  readonly ready: boolean;
  readonly restartCount: number;
  readonly state: ContainerState;
  readonly lastState: ContainerState;
}

interface ContainerState {
  readonly waiting?: { reason: string; message?: string };
  readonly running?: object;
  readonly terminated?: { reason: string; exitCode: number; message?: string };
}

const waitMs = 45_000;

/** A control plane with one process node, for one test file. */
export class ProcessNodeCluster {
  readonly directory: string;
  readonly client: ApiClient;
  readonly namespace: string;
  /** The node that pods go to; the control plane may have others, of other tests. */
  readonly nodeName: string;
  readonly kubeconfigPath: string;
  readonly #stopControlPlane: () => Promise<void>;

  private constructor(fields: {
    directory: string;
    client: ApiClient;
    kubeconfigPath: string;
    stopControlPlane: () => Promise<void>;
  }) {
    this.directory = fields.directory;
    this.client = fields.client;
    this.kubeconfigPath = fields.kubeconfigPath;
    this.namespace = `process-node-${process.pid}`;
    this.nodeName = `${this.namespace}-main`;
    this.#stopControlPlane = fields.stopControlPlane;
  }

  /** Starts a control plane, or uses the one of TRAININGRUN_TEST_KUBECONFIG. */
  static async start(): Promise<ProcessNodeCluster> {
    const directory = await mkdtemp(join(tmpdir(), "process-node-"));
    const given = process.env.TRAININGRUN_TEST_KUBECONFIG;
    const plane =
      given === undefined ? await startControlPlane({ directory: join(directory, "control-plane") }) : undefined;
    const kubeconfigPath = plane?.kubeconfigPath ?? given ?? "";
    const client = await createApiClient(kubeconfigPath);
    const stopControlPlane = async () => plane?.stop();
    const cluster = new ProcessNodeCluster({ directory, client, kubeconfigPath, stopControlPlane });
    const body = { apiVersion: "v1", kind: "Namespace", metadata: { name: cluster.namespace } };
    await client.call({ method: "POST", path: "/api/v1/namespaces", body });
    await cluster.until("/api/v1", "serviceaccounts", "default", () => true);
    return cluster;
  }

  /** Starts a node whose image `sh` runs shell scripts. */
  async startNode(options: Partial<ProcessNodeOptions> = {}): Promise<ProcessNode> {
    const name = options.name ?? this.nodeName;
    return startProcessNode({
      name,
      kubeconfigPath: this.kubeconfigPath,
      directory: join(this.directory, name),
      address: "127.0.201.1",
      capacity: { cpu: "8", memory: "16Gi", pods: "50", "nvidia.com/gpu": "1" },
      images: { sh: { entrypoint: ["/bin/sh", "-c"], env: {}, workingDirectory: this.directory } },
      ...options,
    });
  }

  /** Creates a pod of this namespace; tests give its spec. */
  async createPod(name: string, spec: object, metadata: object = {}): Promise<string> {
    const here = { nodeSelector: { "kubernetes.io/hostname": this.nodeName } };
    const body = { apiVersion: "v1", kind: "Pod", metadata: { name, ...metadata }, spec: { ...here, ...spec } };
    const pod = await this.client.call({ method: "POST", path: this.path("pods"), body });
    return (pod as KubernetesObject).metadata.uid;
  }

  /** A path in this namespace, of the core group unless another is given. */
  path(rest: string, group = "/api/v1"): string {
    return `${group}/namespaces/${this.namespace}/${rest}`;
  }

  /** Deletes a pod as a user does. */
  async deletePod(name: string): Promise<void> {
    await this.client.call({ method: "DELETE", path: this.path(`pods/${name}`) });
  }

  /** Deletes a pod as a user does, and waits until it is gone; returns its last state. */
  async deletePodAndWait(name: string): Promise<KubernetesObject | undefined> {
    return this.podGoneAfter(name, () => this.deletePod(name));
  }

  /** Waits until a pod is as wanted and returns it. */
  async pod(name: string, isWanted: (status: PodStatus, pod: KubernetesObject) => boolean): Promise<KubernetesObject> {
    return this.until("/api/v1", "pods", name, (object) => isWanted(object.status ?? {}, object));
  }

  /** Waits until an object is as wanted, watching it; fails with what it saw last. */
  async until(
    group: string,
    resource: string,
    name: string,
    isWanted: (object: KubernetesObject) => boolean,
  ): Promise<KubernetesObject> {
    const query = { watch: "1", fieldSelector: `metadata.name=${name}` };
    const signal = AbortSignal.timeout(waitMs);
    let last: KubernetesObject | undefined;
    try {
      for await (const line of this.client.lines(this.path(resource, group), query, signal)) {
        const event = JSON.parse(line) as { type: string; object: KubernetesObject };
        last = event.object;
        if (isWanted(last)) return last;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    throw new Error(`Cannot wait any longer for ${resource}/${name}: ${JSON.stringify(last?.status)}`);
  }

  /** Does something that makes a pod go, and waits until it is gone; returns its last state. */
  async podGoneAfter(name: string, act: () => Promise<unknown>): Promise<KubernetesObject | undefined> {
    const path = this.path("pods");
    const selector = { fieldSelector: `metadata.name=${name}` };
    const list = (await this.client.call({ method: "GET", path, query: selector })) as {
      metadata: { resourceVersion: string };
      items: KubernetesObject[];
    };
    await act();
    if (list.items.length === 0) return undefined;
    const query = { ...selector, watch: "1", resourceVersion: list.metadata.resourceVersion };
    let last = list.items[0];
    for await (const line of this.client.lines(path, query, AbortSignal.timeout(waitMs))) {
      const event = JSON.parse(line) as { type: string; object: KubernetesObject };
      last = event.object;
      if (event.type === "DELETED") return last;
    }
    throw new Error(`Cannot wait any longer for the end of pod ${name}: ${JSON.stringify(last?.status)}`);
  }

  /** The first event about a pod. */
  async event(pod: string): Promise<unknown> {
    const query = { watch: "1", fieldSelector: `involvedObject.name=${pod},source=process-node` };
    for await (const line of this.client.lines(this.path("events"), query, AbortSignal.timeout(waitMs))) {
      return (JSON.parse(line) as { object: unknown }).object;
    }
    throw new Error(`Cannot wait any longer for an event about ${pod}`);
  }

  /** The object as it is now; undefined when there is none. */
  async find(path: string): Promise<KubernetesObject | undefined> {
    try {
      return (await this.client.call({ method: "GET", path })) as KubernetesObject;
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Ends the control plane, if it is ours, and removes what it left. */
  async stop(): Promise<void> {
    await this.client.close();
    await this.#stopControlPlane();
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** A container that runs a shell script. */
export function script(name: string, text: string, more: object = {}): object {
  return { name, image: "sh", args: [text], ...more };
}

/** One container's status in a pod. */
export function containerOf(pod: KubernetesObject | PodStatus, name: string): ContainerStatus | undefined {
  const status = "metadata" in pod ? pod.status : pod;
  return [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])].find(
    (container) => container.name === name,
  );
}
