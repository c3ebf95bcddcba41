import { cpus, totalmem } from "node:os";
import { nodeDirectory } from "../cluster-directory.ts";
import type { ClusterSettings } from "../cluster-state.ts";
import { startControlPlane } from "../control-plane/control-plane.ts";
import { claimLoopback } from "../host/loopback-claim.ts";
import { startProcessNode } from "../process-node/process-node.ts";
import type { RunningCluster } from "./running-cluster.ts";

/** Starts a control plane and nodes that run pods as child processes. Needs neither root nor Linux. */
export async function startProcessCluster(options: {
  directory: string;
  settings: ClusterSettings;
  signal: AbortSignal;
}): Promise<RunningCluster> {
  const { directory, settings, signal } = options;
  const { nodeMonitorGraceSeconds, audit } = settings;
  const claim = await claimLoopback(settings.nodes.length);
  const stops: (() => Promise<void> | void)[] = [claim.release];
  const stop = async () => {
    for (const one of stops.toReversed()) await one();
  };
  try {
    const api = await startControlPlane({ directory, nodeMonitorGraceSeconds, audit, signal });
    stops.push(() => api.stop());
    const capacity = { cpu: String(cpus().length), memory: `${Math.floor(totalmem() / 2 ** 20)}Mi`, pods: "110" };
    for (const [index, { name, resources }] of settings.nodes.entries()) {
      const node = await startProcessNode({
        name,
        kubeconfigPath: api.kubeconfigPath,
        directory: nodeDirectory(directory, name),
        address: `127.0.${claim.numbers[index]}.1`,
        capacity: { ...capacity, ...resources },
        images: settings.processImages,
        signal,
        onError: (error) => console.error(`${name}:`, error),
      });
      stops.push(() => node.stop());
    }
    return {
      kubeconfigPath: api.kubeconfigPath,
      nodes: settings.nodes.map(({ name }) => ({ name, directory: nodeDirectory(directory, name) })),
      processes: () => api.processes(),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
