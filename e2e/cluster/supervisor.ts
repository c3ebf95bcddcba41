import { mkdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { type ClusterSettings, type ClusterState, readSettings, readState, writeState } from "./cluster-state.ts";
import { createApiClient } from "./control-plane/api-client.ts";
import { createStorageClass, runProvisioner } from "./control-plane/provisioner.ts";
import { mayBegin } from "./supervisor-start.ts";
import { startContainerCluster } from "./ways/container-cluster.ts";
import { startKindCluster } from "./ways/kind-cluster.ts";
import { advertise, keepAdvertising } from "./ways/node-capacity.ts";
import { startProcessCluster } from "./ways/process-cluster.ts";
import type { RunningCluster } from "./ways/running-cluster.ts";

/**
 * The program in which a cluster of this machine's lives: `node supervisor.ts DIRECTORY` starts what the directory's
 * settings ask for, says in its state how far it is, and ends it all at SIGTERM. All parts end when it ends, even by
 * SIGKILL; what the kernel does not clean up then, `down` does from the state.
 */
async function supervise(directory: string): Promise<void> {
  const [settings, announced] = [await readSettings(directory), await readState(directory)];
  if (settings === undefined || announced === undefined) {
    throw new Error(`Cannot start a cluster: ${directory} holds no settings.json and state.json`);
  }
  const stopping = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"] as const) process.on(signal, () => stopping.abort());
  let state: ClusterState = announced;
  try {
    const cluster = await start({ directory, settings, signal: stopping.signal });
    try {
      const { kubeconfigPath, nodes } = cluster;
      state = { ...state, kubeconfigPath, nodes, processes: processesOf(cluster) };
      await writeState(directory, state);
      await serve({ directory, settings, cluster, signal: stopping.signal }, async () => {
        state = { ...state, phase: "ready" };
        await writeState(directory, state);
      });
    } finally {
      await cluster.stop();
    }
  } catch (error) {
    if (stopping.signal.aborted) return;
    const message = error instanceof Error ? error.message : String(error);
    await writeState(directory, { ...state, phase: "failed", error: message });
    throw error;
  }
}

function start(options: {
  directory: string;
  settings: ClusterSettings;
  signal: AbortSignal;
}): Promise<RunningCluster> {
  const { directory, settings } = options;
  if (settings.way === "kind") return startKindCluster(directory, settings);
  return settings.way === "containers" ? startContainerCluster(options) : startProcessCluster(options);
}

/** Volumes and simulated devices, for as long as the cluster lives. */
async function serve(
  options: { directory: string; settings: ClusterSettings; cluster: RunningCluster; signal: AbortSignal },
  onReady: () => Promise<void>,
): Promise<void> {
  const { directory, settings, cluster, signal } = options;
  const client = await createApiClient(cluster.kubeconfigPath);
  const resources = new Map(cluster.nodes.map(({ name }, index) => [name, settings.nodes[index]?.resources ?? {}]));
  const duties: Promise<void>[] = [];
  try {
    await advertise(client, resources);
    duties.push(keepAdvertising(client, resources, signal));
    // kind brings a class of its own.
    if (settings.way !== "kind") {
      const volumes = join(directory, "volumes");
      await mkdir(volumes, { recursive: true });
      await createStorageClass(client);
      duties.push(runProvisioner({ client, directory: volumes }, signal));
    }
    await onReady();
    await Promise.all(duties);
  } finally {
    await client.close();
  }
}

function processesOf(cluster: RunningCluster): ClusterState["processes"] {
  return cluster.processes().map(({ name, identity }) => ({ name, ...identity }));
}

const [argument] = process.argv.slice(2);
if (argument === undefined) throw new Error("Cannot start a cluster: name its directory as the only argument");
if (await mayBegin()) await supervise(resolve(argument));
