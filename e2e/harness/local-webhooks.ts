import { readFile } from "node:fs/promises";
import { parseAllDocuments } from "yaml";
import { z } from "zod";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { until } from "./run-access.ts";

/** Where the webhooks of a process on this machine are, and who vouches for its certificate. */
export type WebhookServer = Readonly<{ address: string; caBundle: string }>;

const Webhook = z.looseObject({
  clientConfig: z.looseObject({ service: z.looseObject({ path: z.string() }) }),
  rules: z.array(z.looseObject({ apiGroups: z.array(z.string()), resources: z.array(z.string()) })),
});
const Configuration = z.looseObject({
  kind: z.enum(["MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"]),
  metadata: z.looseObject({ name: z.string() }),
  webhooks: z.array(Webhook),
});
/** What a webhook is asked about. */
export type WebhookRules = z.infer<typeof Webhook>["rules"];

/** What of the webhooks that a project ships is installed: null leaves one out, fields are added to it. */
export type Choice = (rules: WebhookRules) => Readonly<Record<string, unknown>> | null;

/** Installs webhooks as their project ships them, but found by address: no service leads to a process of this machine. */
export async function installWebhooks(
  api: ApiClient,
  path: string,
  { prefix, server, choose }: Readonly<{ prefix: string; server: WebhookServer; choose: Choice }>,
): Promise<void> {
  for (const document of await documentsOf(path)) {
    const { kind, metadata, webhooks, ...rest } = Configuration.parse(document);
    const local = webhooks.flatMap(({ clientConfig: { service }, ...webhook }) => {
      const added = choose(webhook.rules);
      const clientConfig = { url: `${server.address}${service.path}`, caBundle: server.caBundle };
      return added === null ? [] : [{ ...webhook, ...added, clientConfig }];
    });
    const body = { ...rest, kind, metadata: { name: `${prefix}-${metadata.name}` }, webhooks: local };
    await api.expect("POST", `/apis/admissionregistration.k8s.io/v1/${kind.toLowerCase()}s`, body);
  }
}

const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
const Named = z.looseObject({ metadata: z.looseObject({ name: z.string() }) });
const Established = z.looseObject({
  status: z
    .looseObject({ conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).nullish() })
    .default({}),
});

/** Installs the definition of a kind, and waits until the kind is served. */
export async function installDefinition(api: ApiClient, path: string, signal: AbortSignal): Promise<void> {
  const [definition] = await documentsOf(path);
  const { metadata } = Named.parse(definition);
  await api.expect("POST", definitions, definition);
  await until(`${metadata.name} to be served`, signal, async () => {
    const { status } = Established.parse(await api.expect("GET", `${definitions}/${metadata.name}`));
    return (status.conditions ?? []).some(({ type, status }) => type === "Established" && status === "True");
  });
}

async function documentsOf(path: string): Promise<readonly unknown[]> {
  const documents = parseAllDocuments(await readFile(path, "utf8"));
  if (!Array.isArray(documents)) throw new Error(`Cannot use ${path}: it is empty`);
  return documents.map((document) => document.toJS() as unknown);
}
