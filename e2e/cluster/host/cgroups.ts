import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { clusterId } from "../cluster-directory.ts";

/**
 * The control groups of a cluster: one tree named after it, in every hierarchy of the machine (cgroup v1 has one for each
 * controller, v2 has one for all). Everything that the cluster's nodes run is in it, which is how it can all be found
 * and ended without looking at names of processes.
 */
const mountPoint = "/sys/fs/cgroup";

/** Where a node's cgroups are, relative to the root of each hierarchy. */
export interface NodeCgroups {
  /** The kubelet puts the pods under it. */
  readonly pods: string;
  /** The kubelet, containerd and what containerd starts for itself. */
  readonly daemons: string;
}

/** The name of the tree of a directory's cluster. */
export function cgroupTree(directory: string): string {
  return `trainingrun-${clusterId(directory)}`;
}

/** Makes a node's cgroups in every hierarchy. */
export async function makeNodeCgroups(tree: string, node: string): Promise<NodeCgroups> {
  const cgroups = { pods: `/${tree}/${node}/pods`, daemons: `/${tree}/${node}/daemons` };
  for (const hierarchy of await hierarchies()) {
    for (const path of [tree, `${tree}/${node}`, cgroups.pods, cgroups.daemons]) await make(join(hierarchy, path));
  }
  return cgroups;
}

/** A command that moves itself into a cgroup of every hierarchy before it becomes `command`. */
export async function startedIn(cgroup: string, command: readonly string[]): Promise<string[]> {
  const files = (await hierarchies()).map((hierarchy) => join(hierarchy, cgroup, "cgroup.procs"));
  return ["sh", "-ec", `for file in ${files.join(" ")}; do echo $$ > $file; done; exec "$@"`, "sh", ...command];
}

/** Every cgroup of a tree that exists, parents before children. */
export async function findCgroups(tree: string): Promise<string[]> {
  const found: string[] = [];
  for (const hierarchy of await hierarchies()) await collect(join(hierarchy, tree), found);
  return found;
}

/**
 * Kills everything in a tree, thaws what is frozen so that it can die, and removes the tree.
 *
 * @throws {Error} when a process is still in it after ten seconds.
 */
export async function removeCgroups(tree: string): Promise<void> {
  const end = performance.now() + 10_000;
  for (;;) {
    const cgroups = await findCgroups(tree);
    if (cgroups.length === 0) return;
    for (const cgroup of cgroups) await killAllIn(cgroup);
    for (const cgroup of cgroups.reverse()) await rmdir(cgroup).catch(() => {});
    if (performance.now() > end) {
      throw new Error(`Cannot remove cgroup ${cgroups[0]}: processes in it do not die`);
    }
    await delay(50);
  }
}

async function hierarchies(): Promise<string[]> {
  if (!existsSync(mountPoint)) return [];
  if (existsSync(join(mountPoint, "cgroup.controllers"))) return [mountPoint];
  const names = await readdir(mountPoint, { withFileTypes: true });
  // `cpu,cpuacct` and the like are mounted once and linked under each single name.
  return names.filter((entry) => entry.isDirectory()).map((entry) => join(mountPoint, entry.name));
}

async function make(path: string): Promise<void> {
  await mkdir(path, { recursive: true });
  const parent = join(path, "..");
  for (const file of ["cpuset.cpus", "cpuset.mems"]) {
    // In a v1 cpuset, a new group has no processor and no memory, and nothing can run in it.
    if (existsSync(join(mountPoint, "cgroup.controllers")) || !existsSync(join(path, file))) continue;
    await writeFile(join(path, file), await readFile(join(parent, file)));
  }
  const controllers = join(parent, "cgroup.controllers");
  if (!existsSync(controllers)) return;
  const names = (await readFile(controllers, "utf8")).split(/\s+/).filter((name) => name !== "");
  const enable = names.map((name) => `+${name}`).join(" ");
  await writeFile(join(parent, "cgroup.subtree_control"), enable).catch((error: unknown) => {
    // On a hybrid machine the v2 hierarchy has no controllers to give.
    if (enable !== "") throw error;
  });
}

async function collect(path: string, found: string[]): Promise<void> {
  if (!existsSync(path)) return;
  found.push(path);
  for (const entry of await readdir(path, { withFileTypes: true }).catch(() => [])) {
    if (entry.isDirectory()) await collect(join(path, entry.name), found);
  }
}

async function killAllIn(cgroup: string): Promise<void> {
  for (const [file, value] of [
    ["freezer.state", "THAWED"],
    ["cgroup.freeze", "0"],
  ] as const) {
    if (existsSync(join(cgroup, file))) await writeFile(join(cgroup, file), value).catch(() => {});
  }
  const pids = await readFile(join(cgroup, "cgroup.procs"), "utf8").catch(() => "");
  for (const pid of pids.split("\n").map(Number)) {
    if (pid > 1) kill(pid);
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    // It ended between the two lines.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}
