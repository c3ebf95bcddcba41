import { spawn } from "node:child_process";
import { closeSync, openSync, readdirSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ensureCoredns, ensureKubernetes, type Report } from "./build/binaries.ts";
import {
  type ClusterState,
  type NodeSettings,
  readSettings,
  readState,
  type Way,
  writeSettings,
  writeState,
} from "./cluster-state.ts";
import { type ImportTarget, importImage } from "./container-node/image-import.ts";
import { cgroupTree, removeCgroups } from "./host/cgroups.ts";
import { tracesOf } from "./host/traces.ts";
import { buildBusyboxImage, buildImage, type ImageSource } from "./images/images.ts";
import type { ProcessImage } from "./process-node/process-node.ts";
import { ComponentFailed } from "./processes/child.ts";
import { logTail } from "./processes/log-tail.ts";
import { endProcess, isAlive } from "./processes/process-identity.ts";
import { deleteKindCluster, loadIntoKind } from "./ways/kind-cluster.ts";
import { chooseWay } from "./ways/way.ts";

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

const readyTimeoutMs = 180_000;
const supervisorGraceMs = 30_000;

/**
 * Brings a cluster that goes on running when this process ends. A cluster that runs in the directory already is taken as
 * it is; the remains of one that crashed are removed first.
 *
 * @throws {ComponentFailed} with the reason and the end of the log; nothing is left running then.
 */
export async function up(options: UpOptions): Promise<ClusterState> {
  const directory = resolve(options.directory);
  const report = options.report ?? console.error;
  const running = await readState(directory);
  if (running !== undefined && isRunning(running)) return running;
  await down({ directory });
  const { way, reason } = await chooseWay(options);
  report(`Cluster: ${reason}`);
  if (way === "containers") refuseHidden(directory);
  await mkdir(directory, { recursive: true });
  refuseForeign(directory);
  if (way === "given") return takeGiven(directory, options.context);
  await writeSettings(directory, {
    way,
    nodes: [...(options.nodes ?? defaultNodes)],
    processImages: { ...options.processImages },
    nodeMonitorGraceSeconds: options.nodeMonitorGraceSeconds ?? 20,
    audit: options.audit ?? "off",
  });
  try {
    if (way !== "kind") await ensureKubernetes(report);
    if (way === "containers") await ensureCoredns(report);
    const busybox = way === "containers" ? await buildBusyboxImage(report) : undefined;
    report("Starting the cluster: usually 15 seconds");
    startSupervisor(directory);
    const state = await waitUntilReady(directory, options.signal);
    if (busybox !== undefined) await Promise.all(targets(state).map((target) => importImage(target, busybox)));
    return state;
  } catch (error) {
    await down({ directory });
    throw error;
  }
}

/**
 * Ends the cluster of a directory with all that belongs to it, and removes the directory. Needs nothing but the state
 * that the cluster wrote, so it also ends what a crash left. Where there is no cluster it does nothing.
 *
 * @throws {Error} that lists what is still there afterwards.
 */
export async function down(options: { directory: string }): Promise<void> {
  const directory = resolve(options.directory);
  const state = await readState(directory);
  // A directory without our settings is not ours to remove.
  if (state === undefined && (await readSettings(directory)) === undefined) return;
  if (state !== undefined) await end(state);
  await rm(directory, { recursive: true, force: true });
  const traces = await tracesOf(directory, state?.clusterNumber);
  if (traces.length === 0) return;
  throw new Error(`Cannot end the cluster of ${directory} without a trace: ${traces.join("; ")}`);
}

/** Builds images and gives them to every node of a cluster. On process nodes there are none, and nothing is done. */
export async function loadImages(
  state: ClusterState,
  sources: readonly ImageSource[],
  report: Report = console.error,
): Promise<void> {
  for (const source of sources) {
    if (state.way === "kind") await loadIntoKind(source);
    if (state.way !== "containers") continue;
    const image = await buildImage(source, report);
    await Promise.all(targets(state).map((target) => importImage(target, image)));
  }
}

/** Whether the cluster of a state is up and can be used. */
export function isRunning(state: ClusterState): boolean {
  if (state.phase !== "ready") return false;
  return state.way === "given" || (state.supervisor !== undefined && isAlive(state.supervisor));
}

async function end(state: ClusterState): Promise<void> {
  if (state.supervisor !== undefined) await endProcess(state.supervisor, supervisorGraceMs);
  for (const process of state.processes.toReversed()) await endProcess(process, 1_000);
  if (state.way === "kind") await deleteKindCluster();
  if (state.clusterNumber !== undefined) await removeCgroups(cgroupTree(state.clusterNumber));
}

/** Everything in the directory is removed at the end, so nothing may be in it that is not the cluster's. */
function refuseForeign(directory: string): void {
  const found = readdirSync(directory)[0];
  if (found === undefined) return;
  throw new Error(`Cannot put a cluster into ${directory}: it is not empty (${found}); name a new directory`);
}

/** A container node sees its own /run, /var/lib and /var/log instead of the machine's. */
function refuseHidden(directory: string): void {
  const hidden = ["/run", "/var/run", "/var/lib", "/var/log"].find((path) => `${directory}/`.startsWith(`${path}/`));
  if (hidden === undefined) return;
  throw new Error(`Cannot put container nodes into ${directory}: they have a ${hidden} of their own; name another one`);
}

async function takeGiven(directory: string, context: string | undefined): Promise<ClusterState> {
  const kubeconfigPath = process.env.KUBECONFIG ?? join(homedir(), ".kube", "config");
  const named = context === undefined ? {} : { context };
  const state: ClusterState = { phase: "ready", way: "given", kubeconfigPath, processes: [], nodes: [], ...named };
  await writeState(directory, state);
  return state;
}

function startSupervisor(directory: string): void {
  const log = openSync(supervisorLog(directory), "a");
  const program = join(import.meta.dirname, "supervisor.ts");
  const child = spawn(process.execPath, [program, directory], { detached: true, stdio: ["ignore", log, log] });
  closeSync(log);
  child.unref();
}

async function waitUntilReady(directory: string, signal: AbortSignal | undefined): Promise<ClusterState> {
  const end = performance.now() + readyTimeoutMs;
  let unannouncedUntil = performance.now() + 60_000;
  for (;;) {
    await delay(100);
    signal?.throwIfAborted();
    const state = await readState(directory);
    if (state?.phase === "ready") return state;
    if (state?.supervisor !== undefined && isAlive(state.supervisor)) unannouncedUntil = Number.POSITIVE_INFINITY;
    const isGone = state?.supervisor !== undefined && !isAlive(state.supervisor);
    const now = performance.now();
    if (!isGone && state?.phase !== "failed" && now < end && now < unannouncedUntil) continue;
    const why = state?.error ?? (isGone ? "its supervisor ended" : "it was not ready in time");
    throw new ComponentFailed(`Cannot bring the cluster up: ${why}\n${logTail(supervisorLog(directory))}`);
  }
}

function supervisorLog(directory: string): string {
  return join(directory, "supervisor.log");
}

function targets(state: ClusterState): ImportTarget[] {
  return state.nodes.flatMap(({ anchorPid, ...node }) => (anchorPid === undefined ? [] : [{ ...node, anchorPid }]));
}
