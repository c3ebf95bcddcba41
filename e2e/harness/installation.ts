import { join } from "node:path";
import { ensureHelm, ensureKubernetes, type Report } from "../cluster/build/binaries.ts";
import { down, type UpOptions, up } from "../cluster/cluster.ts";
import type { ClusterState, Way } from "../cluster/cluster-state.ts";
import { type ApiClient, createApiClient } from "../cluster/control-plane/api-client.ts";
import { bundleProjectImages, loadProjectImages, projectDirectory } from "../cluster/images/project-images.ts";
import { run } from "../cluster/processes/command.ts";
import { processImages } from "./process-images.ts";

/** The product, installed by its chart on a cluster of this machine. */
export type Installation = Readonly<{
  cluster: ClusterState;
  api: ApiClient;
  /** Runs kubectl against the cluster and gives back what it printed. */
  kubectl: (...args: string[]) => Promise<string>;
  /** Ends the cluster with everything on it. */
  remove: () => Promise<void>;
}>;

/** What cluster the product is installed on, beside the one that `up` brings by itself. */
export type ClusterChoice = Pick<UpOptions, "nodes" | "audit">;

type Options = ClusterChoice &
  Readonly<{
    directory: string;
    way?: Way;
    report: Report;
    signal: AbortSignal;
    /** How long the controller manager waits before it calls a silent node lost. */
    nodeMonitorGraceSeconds?: number;
    /** The trainer computes by TensorFlow itself instead of WebAssembly; the first time its addon is built. */
    native?: boolean;
  }>;

/** Where the chart is installed. */
export const systemNamespace = "trainingrun-system";
const releaseName = "trainingrun";
const installTimeoutMs = 180_000;
const nativeTimeoutMs = 20 * 60_000;

/** From nothing to a running operator: cluster, images, chart. Repeats what is missing only. */
export async function install({
  directory,
  report,
  signal,
  native = false,
  ...options
}: Options): Promise<Installation> {
  if (native) await buildNativeAddon({ report, signal });
  await bundleProjectImages({ report, signal, bundleArgs: native ? { trainer: ["--native"] } : {} });
  const cluster = await up({ directory, report, signal, processImages: processImages(), ...options });
  try {
    if (cluster.way !== "processes")
      report("Building the images and giving them to the nodes: usually a minute, then seconds");
    await loadProjectImages(cluster, { report, signal });
    await installChart(cluster, report);
    const api = await createApiClient(cluster.kubeconfigPath);
    return {
      cluster,
      api,
      kubectl: (...args) => kubectl(cluster, args),
      remove: async () => {
        await api.close();
        await down({ directory });
      },
    };
  } catch (error) {
    await down({ directory });
    throw error;
  }
}

/** TensorFlow's addon for Node, from package registries. */
async function buildNativeAddon({ report, signal }: Pick<Options, "report" | "signal">): Promise<void> {
  report("Building TensorFlow's addon: a minute or more the first time, then it is there already");
  const program = join(projectDirectory, "trainer", "native", "build.ts");
  report((await run(process.execPath, [program], { timeoutMs: nativeTimeoutMs, signal })).trim());
}

async function installChart(cluster: ClusterState, report: Report): Promise<void> {
  report("Installing the chart: usually 10 seconds");
  const helm = await ensureHelm(report);
  const chart = join(projectDirectory, "charts", "trainingrun-operator");
  const where = ["--kubeconfig", cluster.kubeconfigPath, "--namespace", systemNamespace, "--create-namespace"];
  const values = [
    "--set",
    "image.tag=dev",
    "--set",
    "agent.image.tag=dev",
    "--set",
    "controller.probeIntervalSeconds=1",
  ];
  const wait = ["--wait", "--timeout", `${installTimeoutMs / 1000}s`];
  try {
    await run(helm, ["upgrade", "--install", releaseName, chart, ...where, ...values, ...wait], {
      timeoutMs: installTimeoutMs + 10_000,
    });
  } catch (cause) {
    throw new Error(`Cannot install the chart. What its pods say:\n${await lastWords(cluster)}`, { cause });
  }
}

/** What the operator's pods say of themselves, for whoever has to find out why they are not ready. */
async function lastWords(cluster: ClusterState): Promise<string> {
  const inSystem = ["--namespace", systemNamespace];
  const questions = [
    ["get", "pods", ...inSystem, "-o", "wide"],
    ["get", "events", ...inSystem, "--sort-by=.lastTimestamp"],
    ["logs", ...inSystem, "--selector=app.kubernetes.io/part-of=trainingrun", "--tail=20"],
  ];
  const answers = await Promise.all(questions.map((question) => kubectl(cluster, question).catch(String)));
  return answers.join("\n");
}

async function kubectl(cluster: ClusterState, args: readonly string[]): Promise<string> {
  return await run(await ensureKubernetes(), ["kubectl", ...args], {
    env: { KUBECONFIG: cluster.kubeconfigPath },
  });
}
