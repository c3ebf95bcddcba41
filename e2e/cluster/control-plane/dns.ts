import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { ensureCoredns } from "../build/binaries.ts";
import { isListening } from "../host/ports.ts";
import type { Component } from "../processes/components.ts";

/** Where the names of a cluster's services are served, and who knows them. */
export interface DnsOptions {
  readonly directory: string;
  /** An address of this machine that pods can reach. */
  readonly address: string;
  readonly kubeconfigPath: string;
}

const readyPort = 8181;

/**
 * The names of services and pods, for the pods of container nodes. It runs on the machine, not in a pod: it needs no
 * image then, and pods find it before any service works. Names outside the cluster are answered with NXDOMAIN.
 */
export async function dnsComponent({ directory, address, kubeconfigPath }: DnsOptions): Promise<Component> {
  const config = join(directory, "Corefile");
  await writeFile(
    config,
    `.:53 {
  bind ${address}
  errors
  ready ${address}:${readyPort}
  cache 2
  kubernetes cluster.local in-addr.arpa {
    kubeconfig ${kubeconfigPath}
    ttl 1
  }
}
`,
  );
  return {
    name: "coredns",
    command: await ensureCoredns(),
    args: ["-conf", config],
    ready: { what: "its health port", probe: () => isListening(`http://${address}:${readyPort}`) },
  };
}
