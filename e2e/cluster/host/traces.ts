import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { networkInterfaces } from "node:os";
import { cgroupTree, findCgroups } from "./cgroups.ts";
import { linkName } from "./network-plan.ts";

/**
 * Looks for anything that a cluster in a directory has left on this machine, without asking the cluster's own state:
 * processes that name the directory, mounts in it, its network link, its cgroups, the directory itself.
 *
 * @returns one sentence for each thing found.
 */
export async function tracesOf(directory: string, clusterNumber: number | undefined): Promise<string[]> {
  const traces = [...(await processesNaming(directory)), ...(await mountsIn(directory))];
  if (existsSync(directory)) traces.push(`directory ${directory}`);
  if (clusterNumber === undefined) return traces;
  const link = linkName(clusterNumber);
  if (link in networkInterfaces() || existsSync(`/sys/class/net/${link}`)) traces.push(`network link ${link}`);
  for (const cgroup of await findCgroups(cgroupTree(clusterNumber))) traces.push(`cgroup ${cgroup}`);
  return traces;
}

async function processesNaming(directory: string): Promise<string[]> {
  if (!existsSync("/proc/self/cmdline")) return [];
  const found: string[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    // It may end while we look.
    const words = (await readFile(`/proc/${name}/cmdline`, "utf8").catch(() => "")).split("\0");
    if (isPartOfCluster(words, directory)) found.push(`process ${name} (${words.slice(0, 3).join(" ")})`);
  }
  return found;
}

/** A part of the cluster has a file of the directory in an argument; a shell or an editor has it somewhere in a text. */
function isPartOfCluster(words: readonly string[], directory: string): boolean {
  return words.some((word) => word.replace(/^--[\w-]+=/, "").startsWith(`${directory}/`));
}

async function mountsIn(directory: string): Promise<string[]> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const points = mounts.split("\n").map((line) => line.split(" ")[4] ?? "");
  return points.filter((point) => point === directory || point.startsWith(`${directory}/`)).map((at) => `mount ${at}`);
}
