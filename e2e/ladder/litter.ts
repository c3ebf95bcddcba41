import { readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { down } from "../cluster/cluster.ts";
import { tracesOf } from "../cluster/host/traces.ts";

const maxDepth = 3;

/**
 * Removes a rung's temporary directory with all that its tests left there, clusters first: a test that crashed or was
 * interrupted could not do so itself.
 *
 * @returns one sentence for each cluster and each process that was left.
 */
export async function clearLitter(directory: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const cluster of await clustersIn(directory)) {
    found.push(`a cluster was left in ${cluster}; it is ended now`);
    await down({ directory: cluster });
  }
  const traces = await tracesOf(directory);
  found.push(...traces.filter((trace) => !trace.startsWith("directory ")).map((trace) => `left behind: ${trace}`));
  await rm(directory, { recursive: true, force: true });
  return found;
}

/** Directories with a cluster's settings in them, the files of the cluster itself left out. */
async function clustersIn(directory: string): Promise<readonly string[]> {
  const found: string[] = [];
  const search = async (at: string, depth: number): Promise<void> => {
    const entries = await readdir(at, { withFileTypes: true }).catch(() => []);
    const mark = entries.find(({ name }) => name === "settings.json" || name === "state.json");
    if (mark !== undefined) found.push(dirname(join(at, mark.name)));
    else if (depth < maxDepth)
      for (const entry of entries) if (entry.isDirectory()) await search(join(at, entry.name), depth + 1);
  };
  await search(directory, 0);
  return found;
}
