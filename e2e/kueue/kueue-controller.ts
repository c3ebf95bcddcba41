import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { ensureKueue, type Kueue } from "../cluster/build/kueue.ts";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { issue, makeAuthority } from "../cluster/control-plane/certificates.ts";
import { freePorts, isListening } from "../cluster/host/ports.ts";
import { Components } from "../cluster/processes/components.ts";
import { until } from "../harness/run-access.ts";
import { installDefinition, installWebhooks } from "./local-webhooks.ts";

/** Where Kueue is brought to. */
export type KueueOptions = Readonly<{
  api: ApiClient;
  kubeconfigPath: string;
  /** Holds certificates, configuration and log. */
  directory: string;
  /** The one namespace whose pods are its business. */
  namespace: string;
  report: (line: string) => void;
  signal: AbortSignal;
}>;

/** A running controller. */
export type KueueController = Readonly<{ version: string; stop: () => Promise<void> }>;

const host = "127.0.0.1";

/**
 * Kueue's controller as a process on this machine, for plain pods. It is what its own manifests install but for this: its
 * webhooks are found by address, since no service leads to a process; it has those for its own kinds and for pods; one
 * process elects no leader; and nothing converts its kinds to their older version, which nobody here speaks. For a
 * cluster whose API server runs on this machine, and as root.
 */
export async function startKueue(options: KueueOptions): Promise<KueueController> {
  const { api, directory, namespace, report, signal } = options;
  const kueue = await ensureKueue(report, signal);
  const place = await prepare(directory);
  await writeFile(place.configPath, JSON.stringify(configuration(namespace, place)));
  for (const path of kueue.definitionPaths) await installDefinition(api, path, signal);
  const components = new Components(directory);
  try {
    await components.start(componentOf(kueue, place, options), signal);
    const caBundle = (await readFile(place.caPath)).toString("base64");
    const server = { address: `https://${host}:${place.port}`, caBundle };
    await installWebhooks(api, kueue.webhooksPath, {
      prefix: "kueue",
      server,
      choose: (rules) => {
        if (rules.some(({ apiGroups }) => apiGroups.includes("kueue.x-k8s.io"))) return {};
        const namespaceSelector = selectorOf(namespace);
        return rules.some(({ resources }) => resources.includes("pods")) ? { namespaceSelector } : null;
      },
    });
  } catch (error) {
    await components.stop();
    throw error;
  }
  return { version: kueue.version, stop: () => components.stop() };
}

/** Waits until the API server asks Kueue about a pod that is to be in a queue: it hears of new webhooks by a watch. */
export async function untilQueued(
  api: ApiClient,
  { namespace, queue }: Readonly<{ namespace: string; queue: string }>,
  signal: AbortSignal,
): Promise<void> {
  const labels = { "kueue.x-k8s.io/queue-name": queue };
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "probe", labels },
    spec: { containers: [{ name: "probe", image: "none" }] },
  };
  await until(`pods of ${namespace} to be held back for ${queue}`, signal, async () => {
    const answer = await api.expect("POST", `/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod);
    return Gated.parse(answer).spec.schedulingGates.some(({ name }) => name === "kueue.x-k8s.io/admission");
  });
}

const Gated = z.looseObject({
  spec: z.looseObject({ schedulingGates: z.array(z.looseObject({ name: z.string() })).default([]) }),
});

type Place = Readonly<{
  port: number;
  healthPort: number;
  caPath: string;
  certDir: string;
  /** What it finds as /etc. */
  etc: string;
  configPath: string;
}>;

async function prepare(directory: string): Promise<Place> {
  const [port = 0, healthPort = 0] = await freePorts(2, host);
  const authority = await makeAuthority(join(directory, "authority"));
  const serving = await issue(authority, { name: "webhook", commonName: "kueue-webhook", hosts: [host] });
  const etc = join(directory, "etc");
  // It reads the certificate of its metrics at this path and no other, also where it serves none.
  const certDir = join(etc, "kueue", "metrics", "certs");
  await mkdir(certDir, { recursive: true });
  await copyFile(serving.certificatePath, join(certDir, "tls.crt"));
  await copyFile(serving.keyPath, join(certDir, "tls.key"));
  const configPath = join(directory, "kueue.json");
  return { port, healthPort, caPath: authority.certificatePath, certDir, etc, configPath };
}

function configuration(namespace: string, { port, healthPort, certDir }: Place): unknown {
  return {
    apiVersion: "config.kueue.x-k8s.io/v1beta2",
    kind: "Configuration",
    leaderElection: { leaderElect: false },
    internalCertManagement: { enable: false },
    webhook: { host, port, certDir },
    health: { healthProbeBindAddress: `${host}:${healthPort}` },
    metrics: { bindAddress: "0" },
    // Its API of what waits where would have to be registered with the API server as well.
    featureGates: { VisibilityOnDemand: false },
    integrations: { frameworks: ["pod"] },
    managedJobsNamespaceSelector: selectorOf(namespace),
  };
}

/** In a mount namespace of its own, so that its /etc is a directory here and the machine's is left alone. */
function componentOf(
  { program }: Kueue,
  { etc, configPath, healthPort, port }: Place,
  { kubeconfigPath }: KueueOptions,
) {
  const script = 'mount --bind "$1" /etc; shift; exec "$@"';
  return {
    name: "kueue",
    command: "unshare",
    args: ["--mount", "--", "sh", "-ec", script, "kueue", etc, program, `--config=${configPath}`],
    env: { KUBECONFIG: kubeconfigPath },
    ready: {
      what: "its webhooks",
      probe: async () => (await isListening(`https://${host}:${port}`)) && (await isReady(healthPort)),
    },
  };
}

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://${host}:${port}/readyz`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.status === 200;
}

function selectorOf(namespace: string) {
  return { matchLabels: { "kubernetes.io/metadata.name": namespace } };
}
