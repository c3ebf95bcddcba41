import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { mkdir, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import type { Mark } from "./processes/marked-processes.ts";

/**
 * What a cluster's directory is called without links, which is how the kernel and other processes name it. Makes the
 * directories above it.
 */
export async function clusterDirectory(directory: string): Promise<string> {
  const path = resolve(directory);
  if (existsSync(path)) return realpath(path);
  await mkdir(dirname(path), { recursive: true });
  return join(await realpath(dirname(path)), basename(path));
}

/**
 * Names what the cluster of a directory has on this machine outside of it: cgroups, a network link, Docker containers.
 * It follows from the directory alone, so it can be ended with nothing else known, and is never taken for another's.
 */
export function clusterId(directory: string): string {
  return createHash("sha256").update(directory).digest("hex").slice(0, 12);
}

/** What every process of the cluster carries in its environment, containers excepted. */
export function clusterMark(directory: string): Mark {
  return { name: "TRAININGRUN_CLUSTER", value: directory };
}

/** Where a node of the cluster in a directory keeps what it has. */
export function nodeDirectory(directory: string, name: string): string {
  return join(nodesDirectory(directory), name);
}

/** Where its nodes' directories are. */
export function nodesDirectory(directory: string): string {
  return join(directory, "nodes");
}

/** Everything in the directory is removed at the end, so nothing may be in it that is not the cluster's. */
export function refuseForeign(directory: string): void {
  // An `up` that was killed while it wrote its first file has left half of it.
  const found = readdirSync(directory).find((name) => !/^(settings|state)\.json\.new$/.test(name));
  if (found === undefined) return;
  throw new Error(`Cannot put a cluster into ${directory}: it is not empty (${found}); name a new directory`);
}

/** A container node sees its own /run, /var/lib and /var/log instead of the machine's. */
export function refuseHidden(directory: string): void {
  const hidden = ["/run", "/var/run", "/var/lib", "/var/log"].find((path) => `${directory}/`.startsWith(`${path}/`));
  if (hidden === undefined) return;
  throw new Error(`Cannot put container nodes into ${directory}: they have a ${hidden} of their own; name another one`);
}
