import { X509Certificate } from "node:crypto";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { connect } from "node:tls";
import { ensureKubernetes } from "../build/binaries.ts";
import { firstServiceAddress } from "../host/network-plan.ts";
import { freePorts, isListening } from "../host/ports.ts";
import type { Child } from "../processes/child.ts";
import { type Component, Components } from "../processes/components.ts";
import { probeApi } from "./api-probe.ts";
import { type Authority, issue, type KeyPair, makeAuthority, makeServiceAccountKey, reissue } from "./certificates.ts";
import { writeKubeconfig } from "./kubeconfig.ts";

/** How to start an API server. Only the directory must be said. */
export interface ApiServerOptions {
  /** Holds certificates, data, logs and the kubeconfig. Two servers must not share one. */
  readonly directory: string;
  /** Where it listens. Default: loopback. */
  readonly address?: string;
  /** Default: one that is free. */
  readonly port?: number;
  /** The range that the addresses of services are taken from. */
  readonly serviceRange?: string;
  /** Writes every request, without bodies, to `logs/audit.log`. Default: off. */
  readonly audit?: "requests" | "off";
  /** Flags for kube-apiserver beyond ours. */
  readonly extraArgs?: readonly string[];
  /** Ends the waiting for readiness, and what was started so far. */
  readonly signal?: AbortSignal;
}

/** A running API server with its etcd. */
export interface ApiServer {
  readonly directory: string;
  readonly server: string;
  /** For an administrator. */
  readonly kubeconfigPath: string;
  readonly caPath: string;
  readonly authority: Authority;
  readonly serviceAccountKeyPath: string;
  /** Where etcd is, and as whom it may be asked. */
  readonly etcd: Readonly<{ server: string; client: KeyPair }>;
  /** The processes that run now. */
  processes(): readonly Child[];
  /** Ends a component and starts it again with the same data, address and certificates. */
  restart(component: string): Promise<void>;
  /** Ends a component and leaves it ended, until `restart`. */
  halt(component: string): Promise<void>;
  /** Gives the running server a new certificate, signed by its authority or by another; returns once it presents it. */
  renewCertificate(by?: Authority): Promise<void>;
  /** Ends everything; returns when it is gone. The directory stays. */
  stop(): Promise<void>;
}

const loopback = "127.0.0.1";
const defaultServiceRange = "10.96.0.0/16";
/** The server looks at its certificate's files as they change, and once a minute whatever it has noticed. */
const renewalTimeoutMs = 90_000;
const presentationTimeoutMs = 5_000;

/**
 * Starts `etcd` and `kube-apiserver`, nothing else: objects can be stored and watched, but no controller acts on them.
 * Takes about five seconds. No process outlives this one.
 *
 * @throws {ComponentFailed} with the end of the log of the component that did not come up.
 */
export async function startApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const directory = resolve(options.directory);
  await mkdir(join(directory, "etcd"), { recursive: true, mode: 0o700 });
  const program = await ensureKubernetes();
  const [[etcdPort = 0], [port = 0]] = await Promise.all([
    freePorts(1, loopback),
    options.port === undefined ? freePorts(1, options.address ?? loopback) : [options.port],
  ]);
  const settings: Settings = {
    ...options,
    directory,
    program,
    address: options.address ?? loopback,
    port,
    etcd: `https://${loopback}:${etcdPort}`,
    serviceRange: options.serviceRange ?? defaultServiceRange,
    files: await makeFiles(directory, options),
  };
  const server = `https://${settings.address}:${port}`;
  const { authority, admin, serviceAccountKeyPath } = settings.files;
  const access = { server, caPath: authority.certificatePath, client: admin };
  const kubeconfigPath = await writeKubeconfig(join(directory, "kubeconfig"), access);
  const components = new Components(join(directory, "logs"));
  try {
    await components.start(etcd(settings), options.signal);
    await components.start(apiServer(settings, kubeconfigPath), options.signal);
  } catch (error) {
    await components.stop();
    throw error;
  }
  return {
    directory,
    server,
    kubeconfigPath,
    caPath: authority.certificatePath,
    authority,
    serviceAccountKeyPath,
    etcd: { server: settings.etcd, client: settings.files.etcdClient },
    processes: () => components.children(),
    restart: (component) => components.restart(component),
    halt: (component) => components.halt(component),
    renewCertificate: (by = authority) => renewCertificate(by, settings),
    stop: () => components.stop(),
  };
}

interface Settings {
  readonly directory: string;
  readonly program: string;
  readonly address: string;
  readonly port: number;
  readonly etcd: string;
  readonly serviceRange: string;
  readonly audit?: "requests" | "off";
  readonly extraArgs?: readonly string[];
  readonly files: Awaited<ReturnType<typeof makeFiles>>;
}

async function makeFiles(directory: string, options: ApiServerOptions) {
  const authority = await makeAuthority(join(directory, "certificates"));
  const service = "kubernetes.default.svc.cluster.local".split(".");
  const hosts = [
    ...new Set([options.address ?? loopback, loopback, "localhost"]),
    firstServiceAddress(options.serviceRange ?? defaultServiceRange),
    ...[1, 2, 3, 5].map((labels) => service.slice(0, labels).join(".")),
  ];
  const servingRequest = { name: "kube-apiserver", commonName: "kube-apiserver", hosts };
  const [admin, serving, etcdServer, etcdClient, kubeletClient, serviceAccountKeyPath] = await Promise.all([
    issue(authority, { name: "admin", commonName: "admin", organization: "system:masters" }),
    issue(authority, servingRequest),
    issue(authority, { name: "etcd", commonName: "etcd", hosts: [loopback] }),
    issue(authority, { name: "etcd-client", commonName: "kube-apiserver" }),
    issue(authority, { name: "kubelet-client", commonName: "kube-apiserver", organization: "system:masters" }),
    makeServiceAccountKey(authority.directory),
  ]);
  const auditPolicyPath = await writeAuditPolicy(join(directory, "audit-policy.json"));
  const own = { authority, serviceAccountKeyPath, auditPolicyPath, servingRequest };
  return { ...own, admin, serving, etcdServer, etcdClient, kubeletClient };
}

async function renewCertificate(by: Authority, { address, port, files }: Settings): Promise<void> {
  await reissue(by, files.servingRequest, files.serving);
  const renewed = new X509Certificate(await readFile(files.serving.certificatePath)).fingerprint256;
  const end = performance.now() + renewalTimeoutMs;
  while ((await presentedBy(address, port)) !== renewed) {
    if (performance.now() > end)
      throw new Error(`Cannot renew the certificate of https://${address}:${port}: it still presents another one`);
    await delay(100);
  }
}

/** The fingerprint of the certificate that a server presents now, whoever signed it; undefined where none comes. */
function presentedBy(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerX509Certificate()?.fingerprint256);
      socket.destroy();
    });
    socket.setTimeout(presentationTimeoutMs, () => socket.destroy());
    socket.once("error", () => socket.destroy());
    socket.once("close", () => resolve(undefined));
  });
}

function etcd({ directory, program, etcd, files }: Settings): Component {
  return {
    name: "etcd",
    command: program,
    args: [
      "etcd",
      `--data-dir=${join(directory, "etcd")}`,
      // The data lives as long as the cluster, so it need not survive a power loss; fsync would be most of the work.
      "--unsafe-no-fsync",
      `--listen-client-urls=${etcd}`,
      `--advertise-client-urls=${etcd}`,
      `--listen-peer-urls=http://${loopback}:0`,
      "--client-cert-auth",
      `--trusted-ca-file=${files.authority.certificatePath}`,
      `--cert-file=${files.etcdServer.certificatePath}`,
      `--key-file=${files.etcdServer.keyPath}`,
      "--log-level=warn",
    ],
    ready: { what: `etcd on ${etcd}`, probe: () => isListening(etcd) },
  };
}

function apiServer(settings: Settings, kubeconfigPath: string): Component {
  return {
    name: "kube-apiserver",
    command: settings.program,
    args: ["kube-apiserver", ...apiServerFlags(settings)],
    ready: { what: "the answer of /readyz", probe: () => isReady(kubeconfigPath) },
  };
}

function apiServerFlags({ directory, files, ...settings }: Settings): string[] {
  const auditPath = join(directory, "logs", "audit.log");
  return [
    `--bind-address=${settings.address}`,
    `--secure-port=${settings.port}`,
    // The endpoints of the `kubernetes` service may not be loopback addresses; there the service has none.
    ...(settings.address === loopback
      ? ["--endpoint-reconciler-type=none"]
      : [`--advertise-address=${settings.address}`]),
    `--service-cluster-ip-range=${settings.serviceRange}`,
    `--etcd-servers=${settings.etcd}`,
    `--etcd-cafile=${files.authority.certificatePath}`,
    `--etcd-certfile=${files.etcdClient.certificatePath}`,
    `--etcd-keyfile=${files.etcdClient.keyPath}`,
    `--client-ca-file=${files.authority.certificatePath}`,
    `--tls-cert-file=${files.serving.certificatePath}`,
    `--tls-private-key-file=${files.serving.keyPath}`,
    `--kubelet-client-certificate=${files.kubeletClient.certificatePath}`,
    `--kubelet-client-key=${files.kubeletClient.keyPath}`,
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    `--service-account-key-file=${files.serviceAccountKeyPath}`,
    `--service-account-signing-key-file=${files.serviceAccountKeyPath}`,
    "--authorization-mode=Node,RBAC",
    "--enable-admission-plugins=NodeRestriction",
    "--allow-privileged=true",
    // Names of nodes are in no DNS.
    "--kubelet-preferred-address-types=InternalIP",
    ...(settings.audit === "requests"
      ? [`--audit-log-path=${auditPath}`, `--audit-policy-file=${files.auditPolicyPath}`]
      : []),
    ...(settings.extraArgs ?? []),
  ];
}

/** One event for each finished request, without bodies: enough to count who asked for what. */
async function writeAuditPolicy(path: string): Promise<string> {
  const policy = {
    apiVersion: "audit.k8s.io/v1",
    kind: "Policy",
    omitStages: ["RequestReceived"],
    rules: [{ level: "Metadata" }],
  };
  await writeFile(path, JSON.stringify(policy));
  return path;
}

function isReady(kubeconfigPath: string): Promise<boolean> {
  return probeApi(kubeconfigPath, async (client) => (await client.request("GET", "/readyz")).status === 200);
}
