import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { issue, makeAuthority } from "../cluster/control-plane/certificates.ts";
import { freePorts, isListening } from "../cluster/host/ports.ts";
import { Components } from "../cluster/processes/components.ts";
import { until } from "./run-access.ts";

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
  /** What an object must be like for a webhook about its resource to be asked; the resource's every object without. */
  objectSelectors: Readonly<Record<string, unknown>>;
  configuration: (endpoints: Endpoints) => unknown;
}>;

/** A running controller. */
export type RunningController = Readonly<{ pid: number; stop: () => Promise<void> }>;

const host = "127.0.0.1";
const definitionsPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

/**
 * A controller as a process on this machine, as its own manifests install it but for two things: its webhooks are found
 * by address, since no service leads to a process, and one process elects no leader. Returns when it is ready for objects.
 */
export async function startForeignController(
  controller: ForeignController,
  { api, kubeconfigPath, directory, signal }: ControllerPlace,
): Promise<RunningController> {
  const { name, program, definitions, webhooks, objectSelectors } = controller;
  const [port = 0, healthPort = 0] = await freePorts(2, host);
  const { certDir, caBundle } = await makeCertificates(name, directory);
  const config = join(directory, `${name}.json`);
  await writeFile(config, JSON.stringify(controller.configuration({ host, port, healthPort, certDir })));
  for (const definition of definitions) await installDefinition(api, definition, signal);
  const components = new Components(directory);
  // The temporary directory leads those to their certificates whose configuration names no place for them.
  const env = { KUBECONFIG: kubeconfigPath, TMPDIR: directory };
  const probe = async () => (await isListening(`https://${host}:${port}`)) && (await isReady(healthPort));
  const ready = { what: "its webhooks", probe };
  await components.start({ name, command: program, args: [`--config=${config}`], env, ready }, signal);
  try {
    await installWebhooks(api, webhooks, { prefix: name, port, caBundle, objectSelectors });
  } catch (error) {
    await components.stop();
    throw error;
  }
  return { pid: components.children()[0]?.identity.pid ?? 0, stop: () => components.stop() };
}

/** They lie where controller-runtime looks for them by itself, below the temporary directory. */
async function makeCertificates(name: string, directory: string): Promise<{ certDir: string; caBundle: string }> {
  const authority = await makeAuthority(join(directory, "authority"));
  const serving = await issue(authority, { name: "webhook", commonName: `${name}-webhook`, hosts: [host] });
  const certDir = join(directory, "k8s-webhook-server", "serving-certs");
  await mkdir(certDir, { recursive: true });
  await copyFile(serving.certificatePath, join(certDir, "tls.crt"));
  await copyFile(serving.keyPath, join(certDir, "tls.key"));
  return { certDir, caBundle: (await readFile(authority.certificatePath)).toString("base64") };
}

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://${host}:${port}/readyz`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.status === 200;
}

async function installDefinition(api: ApiClient, path: string, signal: AbortSignal): Promise<void> {
  const [definition] = await documentsOf(path);
  await api.expect("POST", definitionsPath, definition);
  const { metadata } = Named.parse(definition);
  await until(`${metadata.name} to be served`, signal, async () => {
    const found = Established.parse(await api.expect("GET", `${definitionsPath}/${metadata.name}`));
    const conditions = found.status?.conditions ?? [];
    return conditions.some(({ type, status }) => type === "Established" && status === "True");
  });
}

type WebhookPlace = Pick<ForeignController, "objectSelectors"> &
  Readonly<{ prefix: string; port: number; caBundle: string }>;

async function installWebhooks(
  api: ApiClient,
  path: string,
  { prefix, port, caBundle, objectSelectors }: WebhookPlace,
): Promise<void> {
  for (const document of await documentsOf(path)) {
    const { kind, metadata, webhooks, ...rest } = Webhooks.parse(document);
    const local = webhooks.map(({ clientConfig: { service }, rules, ...webhook }) => {
      const objectSelector = rules
        .flatMap(({ resources }) => resources.map((name) => objectSelectors[name]))
        .find(Boolean);
      return {
        ...webhook,
        rules,
        clientConfig: { url: `https://${host}:${port}${service.path}`, caBundle },
        ...(objectSelector === undefined ? {} : { objectSelector }),
      };
    });
    const body = { ...rest, kind, metadata: { name: `${prefix}-${metadata.name}` }, webhooks: local };
    await api.expect("POST", `/apis/admissionregistration.k8s.io/v1/${kind.toLowerCase()}s`, body);
  }
}

async function documentsOf(path: string): Promise<readonly unknown[]> {
  const documents = parseAllDocuments(await readFile(path, "utf8"));
  if (!Array.isArray(documents)) throw new Error(`Cannot use ${path}: it is empty`);
  return documents.map((document) => document.toJS() as unknown);
}

const Named = z.looseObject({ metadata: z.looseObject({ name: z.string() }) });
/** The API server has not looked at a new one yet: no status, or a list that is null. */
const Established = z.looseObject({
  status: z
    .looseObject({ conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).nullish() })
    .optional(),
});
const Webhooks = z.looseObject({
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
  webhooks: z.array(
    z.looseObject({
      clientConfig: z.looseObject({ service: z.looseObject({ path: z.string() }) }),
      rules: z.array(z.looseObject({ resources: z.array(z.string()) })),
    }),
  ),
});
