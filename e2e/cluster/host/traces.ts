import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { clusterMark } from "../cluster-directory.ts";
import { findMarked } from "../processes/marked-processes.ts";
import { cgroupTree, findCgroups } from "./cgroups.ts";
import { linkName } from "./network.ts";

/**
 * What is there of the cluster of a directory, without asking the cluster's own state: processes that carry its mark,
 * mounts in the directory, its network link, its cgroups, the directory itself.
 *
 * @returns one sentence for each thing found.
 */
export async function remainsOf(directory: string): Promise<string[]> {
  const marked = await Promise.all(findMarked(clusterMark(directory)).map(({ pid }) => describeProcess(pid)));
  const remains = [...marked, ...(await mountsIn(directory))];
  if (existsSync(directory)) remains.push(`directory ${directory}`);
  const link = linkName(directory);
  if (existsSync(`/sys/class/net/${link}`)) remains.push(`network link ${link}`);
  for (const cgroup of await findCgroups(cgroupTree(directory))) remains.push(`cgroup ${cgroup}`);
  return remains;
}

/**
 * The remains, and with them every process that was started with a file of the directory in an argument: a part that lost
 * its mark, and also a `tail` of the user's.
 */
export async function tracesOf(directory: string): Promise<string[]> {
  const traces = [...(await processesNaming(directory)), ...(await remainsOf(directory))];
  return [...new Set(traces)];
}

/** The mounts of this machine in a directory, one sentence for each. */
export async function mountsIn(directory: string): Promise<string[]> {
  const mounts = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const points = mounts.split("\n").map((line) => line.split(" ")[4] ?? "");
  return points.filter((point) => point === directory || point.startsWith(`${directory}/`)).map((at) => `mount ${at}`);
}

async function processesNaming(directory: string): Promise<string[]> {
  if (!existsSync("/proc/self/cmdline")) return [];
  const found: string[] = [];
  for (const name of await readdir("/proc")) {
    if (!/^\d+$/.test(name) || Number(name) === process.pid) continue;
    if (isTold(await wordsOf(Number(name)), directory)) found.push(await describeProcess(Number(name)));
  }
  return found;
}

/** Has a file of the directory in an argument; a shell or an editor has it somewhere in a text. */
function isTold(words: readonly string[], directory: string): boolean {
  return words.some((word) => word.replace(/^--[\w-]+=/, "").startsWith(`${directory}/`));
}

async function describeProcess(pid: number): Promise<string> {
  return `process ${pid} (${(await wordsOf(pid)).slice(0, 3).join(" ")})`;
}

/** The words that a process was started with; none when it has ended meanwhile. */
async function wordsOf(pid: number): Promise<string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "")).split("\0").slice(0, -1);
}
