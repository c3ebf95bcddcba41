import { join } from "node:path";
import { cgroupTree, removeCgroups } from "./cgroups.ts";
import type { ClusterSettings } from "./cluster-state.ts";
import { type ContainerNode, startContainerNode } from "./container-node.ts";
import { startControlPlane } from "./control-plane.ts";
import { startSwitch } from "./network.ts";
import { planNetwork } from "./network-plan.ts";
import type { RunningCluster } from "./running-cluster.ts";

/** Starts a control plane and nodes that run containers. Needs root on Linux. */
export async function startContainerCluster(options: {
  directory: string;
  settings: ClusterSettings;
  clusterNumber: number;
  signal: AbortSignal;
}): Promise<RunningCluster> {
  const { directory, settings, clusterNumber, signal } = options;
  const plan = planNetwork(clusterNumber);
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const one of stops.toReversed()) await one();
  };
  try {
    stops.push(() => removeCgroups(cgroupTree(clusterNumber)));
    const network = await startSwitch(plan, join(directory, "logs"));
    stops.push(() => network.anchor.stop());
    const { nodeMonitorGraceSeconds, audit } = settings;
    const { hostAddress: address, serviceRange } = plan;
    const api = await startControlPlane({ directory, address, serviceRange, nodeMonitorGraceSeconds, audit, signal });
    stops.push(() => api.stop());
    const count = settings.nodes.length;
    const starts = settings.nodes.map(async ({ name }, index) => {
      const node = await startContainerNode({
        name,
        index,
        count,
        directory: join(directory, name),
        api,
        network,
        signal,
      });
      stops.push(() => node.stop());
      return node;
    });
    // Every start must be over before anything is stopped: one that goes on would outlive the stop.
    await Promise.allSettled(starts);
    const nodes: ContainerNode[] = await Promise.all(starts);
    return {
      kubeconfigPath: api.kubeconfigPath,
      processes: () => [network.anchor, ...api.processes(), ...nodes.flatMap((node) => node.processes())],
      nodes: nodes.map(({ name, anchor }) => ({
        name,
        directory: join(directory, name),
        anchorPid: anchor.identity.pid,
      })),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
