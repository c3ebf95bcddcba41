import { mkdir } from "node:fs/promises";
import { createApiClient } from "../control-plane/api-client.ts";
import type { ProcessImage } from "./container/images.ts";
import { Gate } from "./gate.ts";
import { startLogsServer } from "./logs/logs-server.ts";
import { NodeObject } from "./node-object.ts";
import { NodePods } from "./node-pods.ts";
import { ObjectReader } from "./object-reader.ts";
import { AddressPool, requireListenable } from "./pod/addresses.ts";
import { PodEvents } from "./pod/pod-events.ts";
import { watchPods } from "./pod-watch.ts";
import { ProcessLedger, processesDirectory } from "./process-ledger.ts";

export type { ProcessImage } from "./container/images.ts";

/** What a process node is made of. */
export interface ProcessNodeOptions {
  readonly name: string;
  readonly kubeconfigPath: string;
  /** The node's own: volumes, logs and the record of its processes. No two nodes share one. */
  readonly directory: string;
  /** 127.0.x.y; x must be another for each node, since pods get their addresses out of 127.x. */
  readonly address: string;
  /** What pods may ask for: cpu, memory, pods, nvidia.com/gpu. Nothing is measured or enforced. */
  readonly capacity: Readonly<Record<string, string>>;
  /** What stands for each image; a container with any other is ErrImagePull. */
  readonly images: Readonly<Record<string, ProcessImage>>;
  /** Stops the node. */
  readonly signal?: AbortSignal;
  /** Told of what went wrong and is tried again; default: nobody. */
  readonly onError?: (error: unknown) => void;
}

/** What becomes of the Node object when the node stops. */
export interface StopOptions {
  /** `remove` (default) takes it out of the cluster; `keep` leaves it there, not ready. */
  readonly node?: "remove" | "keep";
}

/** A running node, and what may happen to one. */
export interface ProcessNode {
  readonly name: string;
  /** Kills all containers and leaves the cluster. */
  stop(options?: StopOptions): Promise<void>;
  /** Sends a signal to a container's first process, as another process of the machine might. */
  kill(podUid: string, container: string, signal: NodeJS.Signals): void;
  /** Kills a container as the kernel does when its memory runs out: exit code 137, reason OOMKilled. */
  oomKill(podUid: string, container: string): void;
  /** Ends a pod as a kubelet does whose node runs out of memory: Failed, Evicted, DisruptionTarget. */
  evictForPressure(podUid: string): void;
  /** The machine hangs: all containers stand still, nothing is heard from the node, nothing reaches it. */
  freeze(): void;
  /** The machine goes on where it stood. */
  thaw(): void;
}

const registrationLimitMs = 30_000;

/**
 * Registers a node and runs the containers of the pods bound to it as child processes. Needs no root, no images and no
 * container runtime. What it does not show:
 *
 * - isolation: containers share this machine's files, users, network and processes; runAsUser, fsGroup, read-only roots
 *   and limits are not enforced, and no kernel kills for memory;
 * - a file system of their own: a path reaches a mount only if it stands in a variable, command or argument;
 * - process 1: a program without a SIGTERM handler ends at SIGTERM, where in a container it would not notice;
 * - services and pods' names: loopback addresses are no endpoints, so nothing is resolved or balanced;
 * - changes of a mounted ConfigMap or Secret, and limits to the size of logs.
 *
 * @throws {Error} when the API server does not take the node within half a minute.
 */
export async function startProcessNode(options: ProcessNodeOptions): Promise<ProcessNode> {
  const { name, directory, address, capacity, images, onError = () => {} } = options;
  options.signal?.throwIfAborted();
  const stopping = new AbortController();
  const { signal } = stopping;
  const gate = new Gate();
  const addresses = new AddressPool(address);
  await requireListenable(address);
  await mkdir(directory, { recursive: true });
  await using parts = new AsyncDisposableStack();
  const client = await createApiClient(options.kubeconfigPath, gate);
  parts.defer(() => client.close());
  const ledger = await ProcessLedger.open(processesDirectory(directory));
  parts.defer(() => ledger.close());
  const pods = new NodePods({
    ...{ nodeName: name, address, directory, capacity, images, client, addresses, gate, ledger, onError, signal },
    objects: new ObjectReader(client),
    events: new PodEvents({ client, nodeName: name, signal, onError }),
  });
  const logs = await startLogsServer({ address, directory, pods, onError });
  parts.defer(() => logs.stop());
  const node = new NodeObject(client, { name, address, capacity, logsPort: logs.port });
  await register(node, options);
  const tasks = [node.keepAlive(signal, onError), watchPods(client, { nodeName: name, listener: pods, signal })];
  const started = parts.move();
  let stopped: Promise<void> | undefined;
  const stop = async (fate: StopOptions["node"]) => {
    stopping.abort();
    gate.open();
    await pods.kill();
    await Promise.all(tasks);
    await (fate === "keep" ? node.reportNotReady() : node.remove()).catch(onError);
    await started.disposeAsync();
  };
  const stopOnce = (how: StopOptions = {}) => {
    stopped ??= stop(how.node);
    return stopped;
  };
  options.signal?.addEventListener("abort", () => void stopOnce().catch(onError), { once: true });
  return {
    name,
    stop: stopOnce,
    kill: (uid, container, signalName) => pods.find(uid).container(container).signal(signalName),
    oomKill: (uid, container) => pods.find(uid).container(container).oomKill(),
    evictForPressure: (uid) => pods.evictForPressure(uid),
    freeze: () => pods.freeze(),
    thaw: () => pods.thaw(),
  };
}

async function register(node: NodeObject, { name, signal }: ProcessNodeOptions): Promise<void> {
  const limit = AbortSignal.timeout(registrationLimitMs);
  try {
    await node.register(signal === undefined ? limit : AbortSignal.any([limit, signal]));
  } catch (error) {
    throw new Error(`Cannot register node ${name} because the API server did not take it`, { cause: error });
  }
}
