import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stringify } from "yaml";
import { clusterId } from "../cluster-directory.ts";
import type { ClusterSettings } from "../cluster-state.ts";
import type { ImageSource } from "../images/images.ts";
import { run, succeeds } from "../processes/command.ts";
import type { RunningCluster } from "./running-cluster.ts";

const timeoutMs = 10 * 60_000;

/** What kind calls the cluster of a directory. */
export function kindClusterName(id: string): string {
  return `trainingrun-${id}`;
}

/** Whether Docker answers and `kind` is installed. */
export async function hasKind(): Promise<boolean> {
  return (await succeeds("docker", ["info"], { timeoutMs: 10_000 })) && succeeds("kind", ["version"]);
}

/** Starts a cluster of Docker containers. */
export async function startKindCluster(directory: string, settings: ClusterSettings): Promise<RunningCluster> {
  const name = kindClusterName(clusterId(directory));
  const kubeconfigPath = join(directory, "kubeconfig");
  const configPath = join(directory, "kind.yaml");
  const roles = ["control-plane", ...settings.nodes.map(() => "worker")];
  const nodes = roles.map((role) => ({ role }));
  await writeFile(configPath, stringify({ kind: "Cluster", apiVersion: "kind.x-k8s.io/v1alpha4", nodes }));
  const where = ["--name", name, "--kubeconfig", kubeconfigPath];
  await run("kind", ["create", "cluster", ...where, "--config", configPath, "--wait", "120s"], { timeoutMs });
  return {
    kubeconfigPath,
    nodes: settings.nodes.map((_, index) => ({ name: kindNodeName(name, index), directory })),
    processes: () => [],
    stop: () => deleteKindCluster(clusterId(directory)),
  };
}

/** The name that kind gives its `index`th worker. */
function kindNodeName(cluster: string, index: number): string {
  return `${cluster}-worker${index === 0 ? "" : index + 1}`;
}

/** Deletes the cluster with that id, if there is one. */
export async function deleteKindCluster(id: string): Promise<void> {
  await run("kind", ["delete", "cluster", "--name", kindClusterName(id)], { timeoutMs });
}

/** Builds an image with Docker and gives it to all nodes of the cluster with that id. */
export async function loadIntoKind(id: string, source: ImageSource): Promise<void> {
  const { tag, dockerfile, context, buildArgs = {} } = source;
  const args = Object.entries(buildArgs).flatMap(([key, value]) => ["--build-arg", `${key}=${value}`]);
  const scratch = await mkdtemp(join(tmpdir(), "trainingrun-image-"));
  try {
    await run("docker", ["build", ...args, "-t", tag, "-f", dockerfile, context], { timeoutMs });
    const archive = join(scratch, "image.tar");
    await run("docker", ["save", "-o", archive, tag], { timeoutMs });
    await run("kind", ["load", "image-archive", "--name", kindClusterName(id), archive], { timeoutMs });
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}
