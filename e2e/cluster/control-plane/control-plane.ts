import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { ensureKubernetes } from "../build/binaries.ts";
import { freePorts, isListening } from "../host/ports.ts";
import { type Component, Components } from "../processes/components.ts";
import { probeApi } from "./api-probe.ts";
import { type ApiServer, type ApiServerOptions, startApiServer } from "./api-server.ts";
import { issue } from "./certificates.ts";
import { writeKubeconfig } from "./kubeconfig.ts";

/** How to start a control plane. Only the directory must be said. */
export interface ControlPlaneOptions extends ApiServerOptions {
  /** How long a node may be silent before it counts as lost. Default 20; Kubernetes' own default is 50. */
  readonly nodeMonitorGraceSeconds?: number;
  /** Flags for kube-controller-manager and kube-scheduler beyond ours. */
  readonly controllerManagerArgs?: readonly string[];
  readonly schedulerArgs?: readonly string[];
}

/**
 * Starts `etcd`, `kube-apiserver`, `kube-controller-manager` and `kube-scheduler`, and returns when pods are accepted.
 * No process outlives this one.
 *
 * @throws {ComponentFailed} with the end of the log of the component that did not come up.
 */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ApiServer> {
  const api = await startApiServer(options);
  const managers = new Components(join(api.directory, "logs"));
  const stop = async () => {
    await managers.stop();
    await api.stop();
  };
  try {
    const program = await ensureKubernetes();
    const [managerPort = 0, schedulerPort = 0] = await freePorts(2, "127.0.0.1");
    const components = await Promise.all([
      managerOf({
        name: "kube-controller-manager",
        port: managerPort,
        flags: [...controllerManagerFlags(api, options), ...(options.controllerManagerArgs ?? [])],
        ready: { what: "the default service account", probe: () => hasDefaultAccount(api) },
        api,
        program,
      }),
      managerOf({
        name: "kube-scheduler",
        port: schedulerPort,
        flags: options.schedulerArgs ?? [],
        ready: { what: "its port", probe: () => isListening(`https://127.0.0.1:${schedulerPort}`) },
        api,
        program,
      }),
    ]);
    await Promise.all(components.map((component) => managers.start(component, options.signal)));
  } catch (error) {
    await stop();
    throw error;
  }
  const owner = (component: string) => (managers.has(component) ? managers : api);
  return {
    ...api,
    processes: () => [...api.processes(), ...managers.children()],
    restart: (component) => owner(component).restart(component),
    halt: (component) => owner(component).halt(component),
    stop,
  };
}

interface ManagerSettings {
  readonly name: string;
  readonly port: number;
  readonly flags: readonly string[];
  readonly ready: Component["ready"];
  readonly api: ApiServer;
  readonly program: string;
}

async function managerOf({ name, port, flags, ready, api, program }: ManagerSettings): Promise<Component> {
  const directory = join(api.directory, name);
  await mkdir(directory, { recursive: true });
  const client = await issue(api.authority, { name, commonName: `system:${name}` });
  const access = { server: api.server, caPath: api.caPath, client };
  const kubeconfig = await writeKubeconfig(join(directory, "kubeconfig"), access);
  return {
    name,
    command: program,
    args: [
      name,
      `--kubeconfig=${kubeconfig}`,
      `--authentication-kubeconfig=${kubeconfig}`,
      `--authorization-kubeconfig=${kubeconfig}`,
      // There is only ever one of each, and a lease would delay a restart by 15 s.
      "--leader-elect=false",
      "--bind-address=127.0.0.1",
      `--secure-port=${port}`,
      ...flags,
    ],
    ready,
  };
}

function controllerManagerFlags(api: ApiServer, options: ControlPlaneOptions): string[] {
  return [
    `--root-ca-file=${api.caPath}`,
    `--service-account-private-key-file=${api.serviceAccountKeyPath}`,
    `--cluster-signing-cert-file=${api.caPath}`,
    `--cluster-signing-key-file=${api.authority.keyPath}`,
    "--use-service-account-credentials=true",
    `--node-monitor-grace-period=${options.nodeMonitorGraceSeconds ?? 20}s`,
    // How often nodes are looked at: well below the grace period.
    "--node-monitor-period=2s",
  ];
}

/** Until the controller manager has made the default service account, the API server refuses every pod. */
function hasDefaultAccount(api: ApiServer): Promise<boolean> {
  const path = "/api/v1/namespaces/default/serviceaccounts/default";
  return probeApi(api.kubeconfigPath, async (client) => (await client.request("GET", path)).status === 200);
}
