import { mkdir } from "node:fs/promises";
import { ensureCoredns, ensureKubernetes, type Report } from "./build/binaries.ts";
import { clusterDirectory, clusterId, refuseForeign, refuseHidden } from "./cluster-directory.ts";
import {
  type ClusterState,
  hasCluster,
  type NodeSettings,
  readState,
  Unreadable,
  type Way,
  writeSettings,
  writeState,
} from "./cluster-state.ts";
import { type ImportTarget, importImage } from "./container-node/image-import.ts";
import { type BuildOptions, buildImage, type ImageSource } from "./images/images.ts";
import type { ProcessImage } from "./process-node/process-node.ts";
import { withLock } from "./processes/lock.ts";
import { isAlive } from "./processes/process-identity.ts";
import { removeCluster } from "./removal.ts";
import { startSupervisor, waitUntilReady } from "./supervisor-start.ts";
import { takeGivenCluster } from "./ways/given-cluster.ts";
import { loadIntoKind } from "./ways/kind-cluster.ts";
import { chooseWay } from "./ways/way.ts";

/*
 * A Kubernetes cluster of this machine, in a directory of its own. Where to look:
 *
 *     main.ts, setup.ts     the commands
 *     cluster.ts            up, down, images: what others call
 *     supervisor.ts         the process that a cluster lives in; what it is, is in cluster-state.ts
 *     removal.ts            the end of a cluster, whatever is left of it
 *     ways/                 what a cluster is made of: the user's own, kind, containers, processes
 *     control-plane/        etcd, API server, managers, DNS, volumes, and the client for all of it
 *     container-node/       containerd, kubelet and kube-proxy in namespaces of their own
 *     process-node/         a kubelet of ours that runs pods as processes
 *     host/                 what is done to the machine: cgroups, namespaces, network
 *     images/, build/       what is made once and cached
 *     processes/            commands, children, locks, and how they are ended
 */

/** What cluster to bring. Every part has a default. */
export interface UpOptions {
  /** Holds all of the cluster, and is removed with it. */
  readonly directory: string;
  /** Default: the first that works here, see {@link chooseWay}. */
  readonly way?: Way;
  /** A context of the user's own kubeconfig; asks for the way `given`. */
  readonly context?: string;
  /** Default: `node-a` and `node-b`, each with one simulated GPU. */
  readonly nodes?: readonly NodeSettings[];
  /** What stands for each image on process nodes. */
  readonly processImages?: Readonly<Record<string, ProcessImage>>;
  readonly nodeMonitorGraceSeconds?: number;
  readonly audit?: "requests" | "off";
  readonly report?: Report;
  /** Ends what was started so far. */
  readonly signal?: AbortSignal;
}

/** The nodes of a cluster for which nothing else was said: enough for one to be lost. */
export const defaultNodes: readonly NodeSettings[] = ["node-a", "node-b"].map((name) => ({
  name,
  resources: { "nvidia.com/gpu": "1" },
}));

// A first `up` builds Kubernetes and holds the lock meanwhile.
const lockTimeoutMs = 60 * 60_000;

/**
 * Brings a cluster that goes on running when this process ends. A cluster that runs in the directory already is taken as
 * it is; the remains of one that crashed are removed first. Of several at once, one works and the others take its cluster.
 *
 * @throws {ComponentFailed} with the reason and the end of the log; nothing is left running then.
 */
export async function up(options: UpOptions): Promise<ClusterState> {
  const directory = await clusterDirectory(options.directory);
  const report = options.report ?? console.error;
  return withLock(directory, { timeoutMs: lockTimeoutMs, report, signal: options.signal }, async () => {
    const found = await readStateIfAny(directory);
    if (found !== undefined && isRunning(found)) {
      refuseOtherWay(directory, found, options);
      const lost = lostProcesses(found);
      if (lost.length === 0) return found;
      report(`Starting anew: ${lost.join(", ")} ended, and with it the cluster of ${directory}`);
    }
    if (hasCluster(directory)) await removeCluster(directory, found);
    return start({ ...options, directory, report });
  });
}

/**
 * Ends the cluster of a directory with all that belongs to it, and removes the directory. Needs nothing but the state
 * that the cluster wrote, so it also ends what a crash left. Where there is no cluster it does nothing.
 *
 * @throws {Error} that lists what is still there afterwards.
 */
export async function down(options: { directory: string; report?: Report }): Promise<void> {
  const directory = await clusterDirectory(options.directory);
  const report = options.report ?? console.error;
  await withLock(directory, { timeoutMs: lockTimeoutMs, report }, async () => {
    // A directory without our settings is not ours to remove.
    if (hasCluster(directory)) await removeCluster(directory, await readStateIfAny(directory));
  });
}

/** Builds images and gives them to every node of a cluster. On process nodes there are none, and nothing is done. */
export async function loadImages(
  state: ClusterState,
  sources: readonly ImageSource[],
  options: BuildOptions = { report: console.error },
): Promise<void> {
  for (const source of sources) {
    if (state.way === "kind") await loadIntoKind(clusterId(state.directory), source);
    if (state.way !== "containers") continue;
    const image = await buildImage(source, options);
    await Promise.all(targets(state).map((target) => importImage(target, image)));
  }
}

/** Whether the cluster of a state is up and can be used. */
export function isRunning(state: ClusterState): boolean {
  if (state.phase !== "ready") return false;
  return state.way === "given" || (state.supervisor !== undefined && isAlive(state.supervisor));
}

/** The names of those of a cluster's processes that do not run any more. */
export function lostProcesses({ processes }: ClusterState): string[] {
  return processes.filter((process) => !isAlive(process)).map(({ name }) => name);
}

async function start(options: UpOptions & { directory: string; report: Report }): Promise<ClusterState> {
  const { directory, report, signal } = options;
  const { way, reason } = await chooseWay(options);
  report(`Cluster: ${reason}`);
  if (way === "containers") refuseHidden(directory);
  await mkdir(directory, { recursive: true });
  refuseForeign(directory);
  try {
    await writeSettings(directory, {
      way,
      nodes: [...(options.nodes ?? defaultNodes)],
      processImages: { ...options.processImages },
      nodeMonitorGraceSeconds: options.nodeMonitorGraceSeconds ?? 20,
      audit: options.audit ?? "off",
    });
    if (way === "given") {
      const state = await takeGivenCluster(directory, options.context);
      await writeState(directory, state);
      return state;
    }
    if (way !== "kind") await ensureKubernetes(report, signal);
    if (way === "containers") await ensureCoredns(report, signal);
    report("Starting the cluster: usually 15 seconds");
    await startSupervisor(directory, way);
    return await waitUntilReady(directory, signal);
  } catch (error) {
    await removeCluster(directory, await readStateIfAny(directory));
    throw error;
  }
}

/** A state that cannot be read helps nobody to use or end the cluster, and must keep nobody from ending it. */
async function readStateIfAny(directory: string): Promise<ClusterState | undefined> {
  try {
    return await readState(directory);
  } catch (error) {
    if (error instanceof Unreadable) return undefined;
    throw error;
  }
}

function refuseOtherWay(directory: string, { way }: ClusterState, options: UpOptions): void {
  if (options.way === undefined || options.way === way) return;
  throw new Error(
    `Cannot bring a cluster up in ${directory} by way of ${options.way}: one by way of ${way} runs there; end it with \`down\` first`,
  );
}

function targets(state: ClusterState): ImportTarget[] {
  return state.nodes.flatMap(({ anchor, ...node }) => (anchor === undefined ? [] : [{ ...node, anchor }]));
}
