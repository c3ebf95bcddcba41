import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ClusterState } from "../cluster/cluster-state.ts";
import { cgroupTree, startedIn } from "../cluster/host/cgroups.ts";
import { enter } from "../cluster/host/namespaces.ts";
import { type Child, startChild } from "../cluster/processes/child.ts";
import { endProcess } from "../cluster/processes/process-identity.ts";

/** Of all memory that the machine has, so much is to be free: it never is. */
const unreachable = "98%";
const graceMs = 10_000;

const Configuration = z.looseObject({ evictionHard: z.record(z.string(), z.string()) });

/**
 * Starts the kubelet of a container node anew with a threshold of memory that it is always below, so that it evicts what
 * runs there. What comes back puts the kubelet as it was in its place; the pods go on meanwhile.
 */
export async function startPressedKubelet(
  { nodes, processes, directory }: ClusterState,
  name: string,
): Promise<() => Promise<void>> {
  const node = nodes.find((each) => each.name === name);
  const kubelet = processes.find((each) => each.name === `${name}/kubelet`);
  if (node?.anchor === undefined || kubelet === undefined)
    throw new Error(`Cannot press node ${name} because only container nodes can be: it has no kubelet of its own`);
  const command = (await readFile(`/proc/${kubelet.pid}/cmdline`, "utf8")).split("\0").slice(0, -1);
  const configured = command.find((flag) => flag.startsWith("--config="))?.slice("--config=".length);
  if (configured === undefined) throw new Error(`Cannot press node ${name} because its kubelet names no configuration`);
  const pressed = join(node.directory, "kubelet-pressed.json");
  const settings = Configuration.parse(JSON.parse(await readFile(configured, "utf8")));
  const evictionHard = { ...settings.evictionHard, "memory.available": unreachable };
  // The pressure is over with this kubelet, or nothing could be scheduled there for five minutes.
  const over = { ...settings, evictionHard, evictionPressureTransitionPeriod: "0s" };
  await writeFile(pressed, JSON.stringify(over));
  const place = { anchor: node.anchor.pid, cgroup: `/${cgroupTree(directory)}/${name}/daemons`, name };
  await endProcess(kubelet, graceMs);
  const child = await start(
    command.map((flag) => (flag.startsWith("--config=") ? `--config=${pressed}` : flag)),
    { ...place, logDirectory: join(node.directory, "logs") },
  );
  return async () => {
    await child.stop(graceMs);
    // It ends with the cluster's control groups, or with this process.
    await start(command, { ...place, logDirectory: join(node.directory, "logs") });
  };
}

type Place = Readonly<{ anchor: number; cgroup: string; name: string; logDirectory: string }>;

async function start(kubelet: readonly string[], { anchor, cgroup, name, logDirectory }: Place): Promise<Child> {
  const inside = ["nsenter", ...enter(anchor, ["net", "mount", "uts"], kubelet)];
  const [command = "", ...args] = await startedIn(cgroup, inside);
  return startChild({ name: `${name}-kubelet`, command, args, logPath: join(logDirectory, "kubelet-again.log") });
}
