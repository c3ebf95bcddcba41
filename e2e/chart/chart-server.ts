import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ensureHelm, ensureKubernetes } from "../cluster/build/binaries.ts";
import { type ApiServer, startApiServer } from "../cluster/control-plane/api-server.ts";
import { run } from "../cluster/processes/command.ts";
import { chartDirectory, release } from "./render.ts";

/** A real API server to install the chart on. No controller runs there: what a Deployment asks for does not happen. */
export interface ChartServer {
  readonly api: ApiServer;
  /** A directory of its own, for whatever a test must write. */
  readonly directory: string;
  /** Runs kubectl as an administrator; returns what it printed. */
  kubectl(args: readonly string[], input?: string): Promise<string>;
  /** Runs a command of Helm on the tests' release; `values` are for those that take the chart. */
  helm(command: "install" | "upgrade" | "uninstall", values?: unknown): Promise<void>;
  stop(): Promise<void>;
}

/** Starts one, with the namespaces of the release and of two teams. Pod Security is restricted in all but `team-b`. */
export async function startChartServer(): Promise<ChartServer> {
  const directory = await mkdtemp(join(tmpdir(), "chart-"));
  const api = await startApiServer({ directory });
  const server: ChartServer = {
    api,
    directory,
    kubectl: async (args, input = "") => {
      const all = ["kubectl", "--kubeconfig", api.kubeconfigPath, ...args];
      return (await run(await ensureKubernetes(), all, { input })).trim();
    },
    helm: async (command, values) => {
      const chart = values === undefined ? [] : [chartDirectory, "--values", "-"];
      // Without it an upgrade to no values at all means the values of before.
      if (command === "upgrade") chart.push("--reset-values");
      const target = ["--namespace", release.namespace, "--kubeconfig", api.kubeconfigPath];
      await run(await ensureHelm(), [command, release.name, ...chart, ...target], {
        input: JSON.stringify(values ?? {}),
        env: { HELM_CACHE_HOME: directory, HELM_CONFIG_HOME: directory, HELM_DATA_HOME: directory },
      });
    },
    stop: async () => {
      await api.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
  const namespaces = [release.namespace, "team-a", "team-b"];
  for (const namespace of namespaces) await server.kubectl(["create", "namespace", namespace]);
  const restricted = "pod-security.kubernetes.io/enforce=restricted";
  await server.kubectl(["label", "namespace", release.namespace, "team-a", restricted]);
  // No controller runs here that would make them.
  for (const namespace of namespaces) await server.kubectl(["create", "serviceaccount", "default", "-n", namespace]);
  return server;
}
