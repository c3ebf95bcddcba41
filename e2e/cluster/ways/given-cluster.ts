import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import type { ClusterState } from "../cluster-state.ts";
import { createApiClient } from "../control-plane/api-client.ts";
import { findContext } from "./given-context.ts";

/**
 * Takes a cluster of the user's own: the context that was named, or the current one, of `KUBECONFIG` or ~/.kube/config.
 * It is written down in a kubeconfig of its own, so that all who use the cluster mean the same one, also when the user
 * turns to another context meanwhile.
 *
 * @throws {Error} when there is no such context, or its API server does not answer.
 */
export async function takeGivenCluster(directory: string, context: string | undefined): Promise<ClusterState> {
  const kubeconfigPath = join(directory, "kubeconfig");
  await writeFile(kubeconfigPath, stringify(await findContext(context)), { mode: 0o600 });
  const client = await createApiClient(kubeconfigPath);
  try {
    await client.expect("GET", "/version");
  } finally {
    await client.close();
  }
  return { phase: "ready", way: "given", directory, kubeconfigPath, processes: [], nodes: [] };
}
