import { existsSync } from "node:fs";
import { z } from "zod";
import { ensureKubernetes } from "../build/binaries.ts";
import { probeApi } from "../control-plane/api-probe.ts";
import type { ApiServer } from "../control-plane/api-server.ts";
import { type NodeCgroups, startedIn } from "../host/cgroups.ts";
import { enter } from "../host/namespaces.ts";
import type { NodeAddresses } from "../host/network-plan.ts";
import { isListening } from "../host/ports.ts";
import type { Child } from "../processes/child.ts";
import type { Component } from "../processes/components.ts";
import { containerdSocket } from "./node-config.ts";

/** The files that a node's programs read. */
export interface NodeFiles {
  readonly containerd: string;
  readonly kubelet: string;
  readonly kubeletKubeconfig: string;
  readonly proxyKubeconfig: string;
}

/** What the arguments of a node's programs depend on. */
export interface NodeSettings {
  readonly name: string;
  readonly files: NodeFiles;
  readonly addresses: NodeAddresses;
  readonly cgroups: NodeCgroups;
  readonly anchor: Child;
  readonly api: ApiServer;
  readonly podRange: string;
}

const proxyHealthPort = 10256;

/** The programs of a container node. containerd must be ready before the kubelet starts. */
export async function nodePrograms(node: NodeSettings): Promise<Record<"containerd" | "kubelet" | "proxy", Component>> {
  const kubernetes = await ensureKubernetes();
  const socket = `/proc/${node.anchor.identity.pid}/root${containerdSocket}`;
  const [containerd, kubelet, proxy] = await Promise.all([
    inNode(node, ["containerd", "--config", node.files.containerd]),
    inNode(node, [kubernetes, "kubelet", ...kubeletFlags(node)]),
    inNode(node, [kubernetes, "kube-proxy", ...proxyFlags(node)]),
  ]);
  return {
    containerd: {
      name: "containerd",
      ...containerd,
      ready: { what: "its socket", probe: async () => existsSync(socket) },
    },
    kubelet: { name: "kubelet", ...kubelet, ready: { what: "the node to be ready", probe: () => isNodeReady(node) } },
    proxy: {
      name: "kube-proxy",
      ...proxy,
      ready: {
        what: "its health port",
        probe: () => isListening(`http://${node.addresses.address}:${proxyHealthPort}`),
      },
    },
  };
}

function kubeletFlags({ name, files, addresses }: NodeSettings): string[] {
  return [
    `--config=${files.kubelet}`,
    `--kubeconfig=${files.kubeletKubeconfig}`,
    `--hostname-override=${name}`,
    // Logs and exec go to this address; over loopback they would not arrive.
    `--node-ip=${addresses.address}`,
  ];
}

function proxyFlags({ name, files, podRange }: NodeSettings): string[] {
  return [
    `--kubeconfig=${files.proxyKubeconfig}`,
    `--hostname-override=${name}`,
    "--proxy-mode=iptables",
    `--cluster-cidr=${podRange}`,
    `--healthz-bind-address=0.0.0.0:${proxyHealthPort}`,
    // Zero leaves connection tracking as the machine has it: a namespace may not change it.
    ...["max-per-core", "tcp-timeout-established", "tcp-timeout-close-wait"].map((flag) => `--conntrack-${flag}=0`),
  ];
}

async function inNode({ anchor, cgroups }: NodeSettings, command: readonly string[]) {
  const nsenter = ["nsenter", ...enter(anchor.identity.pid, ["net", "mount", "uts"], command)];
  const [program = "", ...args] = await startedIn(cgroups.daemons, nsenter);
  return { command: program, args };
}

const nodeSchema = z.object({
  status: z.object({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).optional() }),
});

function isNodeReady({ api, name }: NodeSettings): Promise<boolean> {
  return probeApi(api.kubeconfigPath, async (client) => {
    const { status, body } = await client.request("GET", `/api/v1/nodes/${name}`);
    if (status !== 200) return false;
    const { conditions = [] } = nodeSchema.parse(body).status;
    return conditions.some((condition) => condition.type === "Ready" && condition.status === "True");
  });
}
