import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ApiServer } from "../control-plane/api-server.ts";
import { issue } from "../control-plane/certificates.ts";
import { writeKubeconfig } from "../control-plane/kubeconfig.ts";
import { makeNodeCgroups, type NodeCgroups } from "../host/cgroups.ts";
import { runIn, startAnchor } from "../host/namespaces.ts";
import { connectNode, type Switch } from "../host/network.ts";
import type { NodeAddresses } from "../host/network-plan.ts";
import type { Child } from "../processes/child.ts";
import { Components } from "../processes/components.ts";
import { cniConfig, containerdConfig, kubeletConfig, kubeletSysctls } from "./node-config.ts";
import { type NodeFiles, nodePrograms } from "./node-programs.ts";

/** How to start a node that runs containers. */
export interface ContainerNodeOptions {
  readonly name: string;
  /** Counted from 0; with `count` it settles the node's addresses. */
  readonly index: number;
  readonly count: number;
  /** Holds the node's configuration, data and logs. */
  readonly directory: string;
  /** The cluster's; the node's own cgroups are made in it. */
  readonly cgroupTree: string;
  readonly api: ApiServer;
  readonly network: Switch;
  readonly signal?: AbortSignal | undefined;
}

/** A node in namespaces of its own: network, mounts (its own /run, /var/lib and /var/log) and host name. */
export interface ContainerNode {
  readonly name: string;
  readonly addresses: NodeAddresses;
  readonly cgroups: NodeCgroups;
  /** The process that holds the namespaces: a target for `nsenter --net --mount`. */
  readonly anchor: Child;
  processes(): readonly Child[];
  /** `containerd`, `kubelet` or `kube-proxy`: ends it and starts it again. Pods go on meanwhile. */
  restart(component: string): Promise<void>;
  /** Ends a component and leaves it ended, until `restart`. */
  halt(component: string): Promise<void>;
  /** Ends the node's own programs and its namespaces' anchor. Pods end with the cgroups, see `removeCgroups`. */
  stop(): Promise<void>;
}

/**
 * Starts a node and returns when the cluster finds it ready. Needs root.
 *
 * @throws {ComponentFailed} with the end of the log of the program that did not come up.
 */
export async function startContainerNode(options: ContainerNodeOptions): Promise<ContainerNode> {
  const { name, api, network, signal } = options;
  const logDirectory = join(options.directory, "logs");
  await mkdir(logDirectory, { recursive: true });
  const cgroups = await makeNodeCgroups(options.cgroupTree, name);
  const anchor = await startAnchor({ name: "anchor", kinds: ["net", "mount", "uts"], logDirectory });
  const components = new Components(logDirectory);
  const stop = async () => {
    await components.stop();
    await anchor.stop();
  };
  try {
    await isolate(anchor.identity.pid, options);
    const addresses = await connectNode(network, { ...options, anchor });
    const files = await writeFiles(options, { addresses, cgroups });
    const programs = await nodePrograms({
      name,
      files,
      addresses,
      cgroups,
      anchor,
      api,
      podRange: network.plan.podRange,
    });
    await components.start(programs.containerd, signal);
    await Promise.all([programs.kubelet, programs.proxy].map((program) => components.start(program, signal)));
    return {
      name,
      addresses,
      cgroups,
      anchor,
      processes: () => [anchor, ...components.children()],
      restart: (component) => components.restart(component),
      halt: (component) => components.halt(component),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Gives the node its own writable places, and takes from it what belongs to the whole machine. */
async function isolate(pid: number, { name, directory }: ContainerNodeOptions): Promise<void> {
  const library = join(directory, "lib");
  await mkdir(library, { recursive: true });
  await runIn(
    pid,
    ["mount", "uts"],
    [
      `hostname ${name}`,
      // The kubelet's mounts must reach the containers, but nothing outside the node.
      "mount --make-rshared /",
      "mount -t tmpfs tmpfs /run",
      "mkdir -p /run/containerd",
      `mount --bind '${library}' /var/lib`,
      `mount --bind '${join(directory, "logs")}' /var/log`,
      // The kubelet would change settings of the whole machine. It sees files that already say what it wants.
      ...Object.entries(kubeletSysctls).flatMap(([setting, value]) => {
        const file = `/run/sysctl-${setting.replaceAll("/", "-")}`;
        return [`echo ${value} > ${file}`, `mount --bind ${file} /proc/sys/${setting}`];
      }),
    ],
  );
}

async function writeFiles(
  { name, directory, api, network }: ContainerNodeOptions,
  { addresses, cgroups }: { addresses: NodeAddresses; cgroups: NodeCgroups },
): Promise<NodeFiles> {
  const path = (file: string) => join(directory, file);
  const [client, serving, proxy] = await Promise.all([
    issue(api.authority, { name, commonName: `system:node:${name}`, organization: "system:nodes" }),
    issue(api.authority, { name: `${name}-serving`, commonName: name, hosts: [name, addresses.address] }),
    issue(api.authority, { name: `${name}-proxy`, commonName: "system:kube-proxy" }),
  ]);
  await mkdir(path("cni"), { recursive: true });
  await writeFile(path("cni/pods.conflist"), JSON.stringify(cniConfig(addresses)));
  await writeFile(path("containerd.toml"), containerdConfig(path("cni")));
  await writeFile(path("resolv.conf"), "");
  const settings = { cgroups, addresses, serving, caPath: api.caPath, dnsAddress: network.plan.hostAddress };
  const config = kubeletConfig({ ...settings, resolvConfPath: path("resolv.conf") });
  await writeFile(path("kubelet.json"), JSON.stringify(config));
  const access = { server: api.server, caPath: api.caPath };
  return {
    containerd: path("containerd.toml"),
    kubelet: path("kubelet.json"),
    kubeletKubeconfig: await writeKubeconfig(path("kubelet.kubeconfig"), { ...access, client }),
    proxyKubeconfig: await writeKubeconfig(path("kube-proxy.kubeconfig"), { ...access, client: proxy }),
  };
}
