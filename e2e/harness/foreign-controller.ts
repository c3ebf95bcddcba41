import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { issue, makeAuthority } from "../cluster/control-plane/certificates.ts";
import { freePorts, isListening } from "../cluster/host/ports.ts";
import { Components } from "../cluster/processes/components.ts";
import { type Choice, installDefinition, installWebhooks } from "./local-webhooks.ts";

/** Where a controller of somebody else's is brought to. */
export type ControllerPlace = Readonly<{
  api: ApiClient;
  kubeconfigPath: string;
  /** Holds certificates, configuration and log. */
  directory: string;
  signal: AbortSignal;
}>;

/** What its configuration has to name. */
export type Endpoints = Readonly<{ host: string; port: number; healthPort: number; certDir: string }>;

/** A controller and what its project ships with it. */
export type ForeignController = Readonly<{
  name: string;
  program: string;
  /** Files of its resource definitions. */
  definitions: readonly string[];
  /** The file of its webhooks. */
  webhooks: string;
  choose: Choice;
  /** Where below the directory it looks for its certificates; where controller-runtime does, without. */
  certificates?: string;
  /** What its command becomes, where it cannot be run as it is. */
  wrapped?: (command: readonly [string, ...string[]]) => readonly [string, ...string[]];
  configuration: (endpoints: Endpoints) => unknown;
}>;

/** A running controller. */
export type RunningController = Readonly<{ pid: number; stop: () => Promise<void> }>;

const host = "127.0.0.1";
/** Below its temporary directory. */
const usualCertificates = join("k8s-webhook-server", "serving-certs");

/**
 * A controller as a process on this machine, as its own manifests install it but for two things: its webhooks are found
 * by address, since no service leads to a process, and one process elects no leader. Returns when it is ready for objects.
 */
export async function startForeignController(
  controller: ForeignController,
  { api, kubeconfigPath, directory, signal }: ControllerPlace,
): Promise<RunningController> {
  const { name, program, definitions, webhooks, choose, certificates = usualCertificates } = controller;
  const [port = 0, healthPort = 0] = await freePorts(2, host);
  const certDir = join(directory, certificates);
  const caBundle = await makeCertificates(name, { directory, certDir });
  const config = join(directory, `${name}.json`);
  await writeFile(config, JSON.stringify(controller.configuration({ host, port, healthPort, certDir })));
  for (const definition of definitions) await installDefinition(api, definition, signal);
  const components = new Components(directory);
  const { wrapped = (given) => given } = controller;
  const [command, ...args] = wrapped([program, `--config=${config}`]);
  // The temporary directory leads those to their certificates whose configuration names no place for them.
  const env = { KUBECONFIG: kubeconfigPath, TMPDIR: directory };
  const address = `https://${host}:${port}`;
  const probe = async () => (await isListening(address)) && (await isReady(healthPort));
  try {
    await components.start({ name, command, args, env, ready: { what: "its webhooks", probe } }, signal);
    await installWebhooks(api, webhooks, { prefix: name, server: { address, caBundle }, choose });
  } catch (error) {
    await components.stop();
    throw error;
  }
  return { pid: components.children()[0]?.identity.pid ?? 0, stop: () => components.stop() };
}

/** Returns who vouches for them, as a webhook names it. */
async function makeCertificates(
  name: string,
  { directory, certDir }: Readonly<{ directory: string; certDir: string }>,
): Promise<string> {
  const authority = await makeAuthority(join(directory, "authority"));
  const serving = await issue(authority, { name: "webhook", commonName: `${name}-webhook`, hosts: [host] });
  await mkdir(certDir, { recursive: true });
  await copyFile(serving.certificatePath, join(certDir, "tls.crt"));
  await copyFile(serving.keyPath, join(certDir, "tls.key"));
  return (await readFile(authority.certificatePath)).toString("base64");
}

/** What the configuration of a controller says that runs as one process, with certificates made for it. */
export function ofOneProcess({ host, port, healthPort, certDir }: Endpoints) {
  return {
    leaderElection: { leaderElect: false },
    internalCertManagement: { enable: false },
    webhook: { host, port, certDir },
    health: { healthProbeBindAddress: `${host}:${healthPort}` },
    metrics: { bindAddress: "0" },
  };
}

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://${host}:${port}/readyz`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.status === 200;
}
