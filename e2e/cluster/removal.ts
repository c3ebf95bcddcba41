import { existsSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { clusterId, clusterMark, nodesDirectory } from "./cluster-directory.ts";
import type { ClusterState } from "./cluster-state.ts";
import { cgroupTree, removeCgroups } from "./host/cgroups.ts";
import { mountsIn, remainsOf } from "./host/traces.ts";
import { ProcessLedger, processesDirectory } from "./process-node/process-ledger.ts";
import { endMarked } from "./processes/marked-processes.ts";
import { endProcess } from "./processes/process-identity.ts";
import { deleteKindCluster } from "./ways/kind-cluster.ts";

const supervisorGraceMs = 30_000;
const remainsLimitMs = 10_000;

/**
 * Ends what is left of the cluster of a directory, whatever became of its parts, and removes the directory. First the
 * orderly way, by its supervisor; then everything that carries the cluster's mark or its name. The state helps, but where
 * there is none, or none that can be read, mark and name suffice.
 *
 * @throws {Error} that lists what is still there afterwards.
 */
export async function removeCluster(directory: string, state: ClusterState | undefined): Promise<void> {
  if (state?.supervisor !== undefined) await endProcess(state.supervisor, supervisorGraceMs);
  for (const process of state?.processes.toReversed() ?? []) await endProcess(process, 1_000);
  await endMarked(clusterMark(directory));
  await endContainerProcesses(directory);
  if (state?.way === "kind") await deleteKindCluster(clusterId(directory));
  await removeCgroups(cgroupTree(directory));
  const mounts = await mountsIn(directory);
  // To remove it all the same would remove what is mounted.
  if (mounts.length > 0)
    throw new Error(`Cannot remove ${directory}: unmount what is in it first: ${mounts.join("; ")}`);
  await rm(directory, { recursive: true, force: true });
  const remains = await lastingRemains(directory);
  if (remains.length === 0) return;
  throw new Error(`Cannot end the cluster of ${directory} without a trace: ${remains.join("; ")}`);
}

/** What containers of process nodes left: a node's end by SIGKILL takes their first processes only. */
async function endContainerProcesses(directory: string): Promise<void> {
  const nodes = nodesDirectory(directory);
  if (!existsSync(nodes)) return;
  for (const name of readdirSync(nodes)) {
    const records = processesDirectory(join(nodes, name));
    if (existsSync(records)) await (await ProcessLedger.open(records)).close();
  }
}

/** The kernel takes a network link away a moment after the last process of its namespace has ended. */
async function lastingRemains(directory: string): Promise<string[]> {
  const end = performance.now() + remainsLimitMs;
  for (;;) {
    const remains = await remainsOf(directory);
    if (remains.length === 0 || performance.now() > end) return remains;
    await delay(100);
  }
}
