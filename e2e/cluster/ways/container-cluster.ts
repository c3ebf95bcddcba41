import { join } from "node:path";
import { nodeDirectory } from "../cluster-directory.ts";
import type { ClusterSettings } from "../cluster-state.ts";
import { type ContainerNode, startContainerNode } from "../container-node/container-node.ts";
import { importImage } from "../container-node/image-import.ts";
import { startControlPlane } from "../control-plane/control-plane.ts";
import { dnsComponent } from "../control-plane/dns.ts";
import { cgroupTree, removeCgroups } from "../host/cgroups.ts";
import { startSwitch, takeNetwork } from "../host/network.ts";
import { buildBusyboxImage, type Image } from "../images/images.ts";
import { Components } from "../processes/components.ts";
import type { RunningCluster } from "./running-cluster.ts";

/** What a cluster of container nodes is made from. */
export interface ContainerClusterOptions {
  readonly directory: string;
  readonly settings: ClusterSettings;
  readonly signal: AbortSignal;
}

/** Starts a control plane, a name server and nodes that run containers. Needs root on Linux. */
export async function startContainerCluster(options: ContainerClusterOptions): Promise<RunningCluster> {
  const { directory, settings, signal } = options;
  const { nodeMonitorGraceSeconds, audit } = settings;
  const plan = await takeNetwork();
  const logs = join(directory, "logs");
  const cgroups = cgroupTree(directory);
  const stops = [() => removeCgroups(cgroups)];
  const stop = async () => {
    for (const one of stops.toReversed()) await one();
  };
  try {
    const network = await startSwitch(plan, { directory, logDirectory: logs });
    stops.push(() => network.anchor.stop());
    const { hostAddress: address, serviceRange } = plan;
    const api = await startControlPlane({ directory, address, serviceRange, nodeMonitorGraceSeconds, audit, signal });
    stops.push(() => api.stop());
    const names = new Components(logs);
    stops.push(() => names.stop());
    const nodes: ContainerNode[] = [];
    const images: Image[] = [];
    stops.push(async () => void (await Promise.all(nodes.map((node) => node.stop()))));
    await allOrNone(signal, [
      async (either) => names.start(await dnsComponent({ ...api, directory, address }), either),
      async (either) => void images.push(await buildBusyboxImage({ report: console.error, signal: either })),
      ...settings.nodes.map(({ name }, index) => async (either: AbortSignal) => {
        const place = { name, index, count: settings.nodes.length, directory: nodeDirectory(directory, name) };
        nodes[index] = await startContainerNode({ ...place, cgroupTree: cgroups, api, network, signal: either });
      }),
    ]);
    const places = nodes.map(({ name, anchor }) => ({
      name,
      directory: nodeDirectory(directory, name),
      anchor: anchor.identity,
    }));
    // No pod starts without it, so the cluster is not ready before.
    await Promise.all(images.flatMap((image) => places.map((place) => importImage(place, image))));
    return {
      kubeconfigPath: api.kubeconfigPath,
      nodes: places,
      processes: () => [network.anchor, ...api.processes(), ...names.children(), ...nodes.flatMap(processesOf)],
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Does all of the work at once. The first failure aborts the rest, and is thrown when all of it is over. */
async function allOrNone(
  signal: AbortSignal,
  work: readonly ((either: AbortSignal) => Promise<void>)[],
): Promise<void> {
  const failure = new AbortController();
  const either = AbortSignal.any([signal, failure.signal]);
  const started = work.map(async (start) => {
    try {
      await start(either);
    } catch (error) {
      failure.abort(error);
    }
  });
  await Promise.all(started);
  failure.signal.throwIfAborted();
}

/** The node's processes under names that tell them from those of other nodes. */
function processesOf(node: ContainerNode) {
  return node.processes().map((child) => ({ ...child, name: `${node.name}/${child.name}` }));
}
