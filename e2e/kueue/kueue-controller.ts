import { join } from "node:path";
import { z } from "zod";
import { ensureKueue } from "../cluster/build/kueue.ts";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import {
  type ControllerPlace,
  type Endpoints,
  ofOneProcess,
  startForeignController,
} from "../harness/foreign-controller.ts";
import type { WebhookRules } from "../harness/local-webhooks.ts";
import { until } from "../harness/run-access.ts";

/** Where Kueue is brought to. */
export type KueueOptions = ControllerPlace &
  Readonly<{
    /** The one namespace whose pods are its business. */
    namespace: string;
    report: (line: string) => void;
  }>;

/** A running controller. */
export type KueueController = Readonly<{ version: string; stop: () => Promise<void> }>;

/**
 * Kueue's controller as a process on this machine, for plain pods. It is what its own manifests install but for this: its
 * webhooks are found by address, since no service leads to a process; it has those for its own kinds and for pods; one
 * process elects no leader; and nothing converts its kinds to their older version, which nobody here speaks. For a
 * cluster whose API server runs on this machine, and as root.
 */
export async function startKueue(options: KueueOptions): Promise<KueueController> {
  const { directory, namespace, report, signal } = options;
  const { version, program, definitionPaths, webhooksPath } = await ensureKueue(report, signal);
  const etc = join(directory, "etc");
  const controller = {
    name: "kueue",
    program,
    definitions: definitionPaths,
    webhooks: webhooksPath,
    choose: (rules: WebhookRules) => {
      if (rules.some(({ apiGroups }) => apiGroups.includes("kueue.x-k8s.io"))) return {};
      const namespaceSelector = selectorOf(namespace);
      return rules.some(({ resources }) => resources.includes("pods")) ? { namespaceSelector } : null;
    },
    // It reads the certificate of its metrics at this path of /etc and no other, also where it serves none.
    certificates: join("etc", "kueue", "metrics", "certs"),
    wrapped: (command: readonly string[]) =>
      ["unshare", "--mount", "--", "sh", "-ec", ownEtc, "kueue", etc, ...command] as const,
    configuration: (endpoints: Endpoints) => configuration(namespace, endpoints),
  };
  const { stop } = await startForeignController(controller, options);
  return { version, stop };
}

/** In a mount namespace of its own, so that its /etc is a directory here and the machine's is left alone. */
const ownEtc = 'mount --bind "$1" /etc; shift; exec "$@"';

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

function configuration(namespace: string, endpoints: Endpoints): unknown {
  return {
    apiVersion: "config.kueue.x-k8s.io/v1beta2",
    kind: "Configuration",
    ...ofOneProcess(endpoints),
    // Its API of what waits where would have to be registered with the API server as well.
    featureGates: { VisibilityOnDemand: false },
    integrations: { frameworks: ["pod"] },
    managedJobsNamespaceSelector: selectorOf(namespace),
  };
}

function selectorOf(namespace: string) {
  return { matchLabels: { "kubernetes.io/metadata.name": namespace } };
}
