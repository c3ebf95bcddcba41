import { hostname } from "node:os";
import { parseArgs } from "node:util";
import { z } from "zod";
import type { PodSettings } from "./core/pod-settings.ts";
import type { CredentialSource } from "./kubernetes/credentials.ts";

/** A setting that cannot be used; the message names the variable and says what it may be. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

/** All that the operator is told at its start. */
export type Config = Readonly<{
  credentials: CredentialSource;
  /** The namespaces to serve; empty: all. */
  watchNamespaces: readonly string[];
  /** Nodes are cluster-scoped: with a Role alone they cannot be read, and a lost node is not told from a slow one. */
  watchNodes: boolean;
  pods: PodSettings;
  listen: Readonly<{ address: string; port: number }>;
  /** Runs decided on at the same time. */
  workers: number;
  api: Readonly<{ requestsPerSecond: number; burst: number; inFlight: number }>;
  probeIntervalSeconds: number;
  /** The Lease by which one of several processes leads; null where this one is the only one. */
  lease: Readonly<{ namespace: string; name: string }> | null;
  /** Written into events: which process wrote them. */
  instance: string;
}>;

/** What `release` is told: where to work, and which operator must have ended before. */
export type ReleaseConfig = Readonly<{
  credentials: CredentialSource;
  watchNamespaces: readonly string[];
  operator: Readonly<{ namespace: string; deployment: string; selector: string; lease: string }>;
  timeoutSeconds: number;
}>;

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the configuration from variables and flags; a flag is the variable in lower case with dashes
 * (`--watch-namespaces` for `WATCH_NAMESPACES`) and wins over it.
 *
 * @throws {ConfigError} naming every setting that is missing or malformed.
 */
export function readConfig(environment: Environment, args: readonly string[]): Config {
  const settings = read(Settings, environment, args);
  return {
    credentials: credentialsOf(settings),
    watchNamespaces: settings.WATCH_NAMESPACES,
    watchNodes: settings.WATCH_NODES,
    pods: {
      agentImage: settings.AGENT_IMAGE,
      agentImagePullPolicy: settings.AGENT_IMAGE_PULL_POLICY,
      agentResources: settings.AGENT_RESOURCES,
    },
    listen: { address: settings.LISTEN_ADDRESS, port: settings.PORT },
    workers: settings.WORKERS,
    api: {
      requestsPerSecond: settings.API_REQUESTS_PER_SECOND,
      burst: settings.API_BURST,
      inFlight: settings.API_IN_FLIGHT,
    },
    probeIntervalSeconds: settings.PROBE_INTERVAL_SECONDS,
    lease: leaseOf(settings),
    instance: settings.POD_NAME ?? hostname(),
  };
}

/**
 * Reads what the command `release` needs, in the same way.
 *
 * @throws {ConfigError} naming every setting that is missing or malformed.
 */
export function readReleaseConfig(environment: Environment, args: readonly string[]): ReleaseConfig {
  const settings = read(ReleaseSettings, environment, args);
  return {
    credentials: credentialsOf(settings),
    watchNamespaces: settings.WATCH_NAMESPACES,
    operator: {
      namespace: settings.OPERATOR_NAMESPACE,
      deployment: settings.OPERATOR_DEPLOYMENT,
      selector: settings.OPERATOR_SELECTOR,
      lease: settings.LEASE_NAME,
    },
    timeoutSeconds: settings.TIMEOUT_SECONDS,
  };
}

const whole = (smallest: number, largest: number, unset: number) => {
  const rule = `must be a whole number from ${smallest} to ${largest}`;
  return z
    .string()
    .regex(/^\d+$/, rule)
    .transform(Number)
    .refine((value) => value >= smallest && value <= largest, rule)
    .default(unset);
};

const Name = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

const podDirectory = "/var/run/secrets/kubernetes.io/serviceaccount";

/** Which API server, as whom, and which namespaces of it: every command asks for these. */
const Place = z.object({
  KUBECONFIG: z.string().optional(),
  CONTEXT: z.string().optional(),
  SERVICE_ACCOUNT_DIRECTORY: z.string().optional(),
  KUBERNETES_SERVICE_HOST: z.string().optional(),
  KUBERNETES_SERVICE_PORT: z.string().optional(),
  WATCH_NAMESPACES: z
    .string()
    .default("")
    .transform((text) => [...new Set(text.split(",").map((name) => name.trim()))].filter((name) => name !== ""))
    .refine((names) => names.every((name) => Name.test(name)), "must be names of namespaces, separated by commas"),
});
type Place = z.infer<typeof Place>;

const hasServer = (settings: Place) =>
  settings.KUBECONFIG !== undefined || settings.KUBERNETES_SERVICE_HOST !== undefined;
const noServer = {
  path: ["KUBECONFIG"],
  message: "must be set outside a cluster (inside one, Kubernetes sets KUBERNETES_SERVICE_HOST)",
};

const LeaseName = z.string().regex(Name, "must be the name of a Lease").default("trainingrun-operator");

const Settings = z
  .object({
    ...Place.shape,
    WATCH_NODES: z
      .enum(["true", "false"], "must be true or false")
      .default("true")
      .transform((text) => text === "true"),
    AGENT_IMAGE: z.string("must name the image of the agent that is added to every training pod").min(1),
    AGENT_IMAGE_PULL_POLICY: z
      .enum(["Always", "IfNotPresent", "Never"], "must be Always, IfNotPresent or Never")
      .default("IfNotPresent"),
    AGENT_RESOURCES: z.string().default("{}").transform(jsonObject),
    LISTEN_ADDRESS: z.string().default("0.0.0.0"),
    PORT: whole(0, 65_535, 8080),
    WORKERS: whole(1, 64, 4),
    API_REQUESTS_PER_SECOND: whole(1, 1_000, 50),
    API_BURST: whole(1, 1_000, 100),
    API_IN_FLIGHT: whole(1, 256, 32),
    PROBE_INTERVAL_SECONDS: whole(1, 60, 2),
    POD_NAME: z.string().optional(),
    POD_NAMESPACE: z.string().optional(),
    LEADER_ELECTION: z.enum(["true", "false"], "must be true or false").optional(),
    LEASE_NAMESPACE: z.string().regex(Name, "must be the name of a namespace").optional(),
    LEASE_NAME: LeaseName,
  })
  .refine(hasServer, noServer)
  .refine((settings) => settings.LEADER_ELECTION !== "true" || namespaceOfLease(settings) !== undefined, {
    path: ["LEASE_NAMESPACE"],
    message: "must be set for a leader election (inside a cluster, POD_NAMESPACE is enough)",
  });

const namesNamespace = "must name the namespace of the operator's Deployment";

const ReleaseSettings = z
  .object({
    ...Place.shape,
    OPERATOR_NAMESPACE: z.string(namesNamespace).regex(Name, namesNamespace),
    OPERATOR_DEPLOYMENT: z.string("must name the operator's Deployment").min(1),
    OPERATOR_SELECTOR: z.string("must be the label selector of the operator's pods").min(1),
    LEASE_NAME: LeaseName,
    TIMEOUT_SECONDS: whole(1, 3_600, 120),
  })
  .refine(hasServer, noServer);

function read<Schema extends z.ZodObject>(
  schema: Schema,
  environment: Environment,
  args: readonly string[],
): z.infer<Schema> {
  const parsed = schema.safeParse({ ...withoutEmpty(environment), ...flags(args, Object.keys(schema.shape)) });
  if (parsed.success) return parsed.data;
  const faults = parsed.error.issues.map((issue) => `${issue.path.join(".")} ${issue.message}`);
  throw new ConfigError(`Cannot start because the configuration is not usable: ${faults.join("; ")}`);
}

function flags(args: readonly string[], names: readonly string[]): Record<string, string> {
  const options = Object.fromEntries(names.map((name) => [flagOf(name), { type: "string" as const }]));
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false });
    return Object.fromEntries(
      names.flatMap((name) => {
        const value = values[flagOf(name)];
        return typeof value === "string" ? [[name, value]] : [];
      }),
    );
  } catch (cause) {
    const known = names.map((name) => `--${flagOf(name)}`).join(", ");
    throw new ConfigError(
      `Cannot start because the command line is not usable: ${String(cause)}. Known flags: ${known}`,
      {
        cause,
      },
    );
  }
}

function flagOf(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

function withoutEmpty(environment: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== ""),
  );
}

/** Outside a cluster there is no namespace of the operator's own, and as a rule no second operator. */
function leaseOf(settings: LeaseSettings & Readonly<{ LEASE_NAME: string }>): Config["lease"] {
  const namespace = namespaceOfLease(settings);
  if (settings.LEADER_ELECTION === "false" || namespace === undefined) return null;
  return { namespace, name: settings.LEASE_NAME };
}

type LeaseSettings = Readonly<{
  LEADER_ELECTION?: "true" | "false" | undefined;
  LEASE_NAMESPACE?: string | undefined;
  POD_NAMESPACE?: string | undefined;
}>;

function namespaceOfLease({ LEASE_NAMESPACE, POD_NAMESPACE }: LeaseSettings): string | undefined {
  return LEASE_NAMESPACE ?? POD_NAMESPACE;
}

/** A directory that was named wins over a kubeconfig, and a kubeconfig over the directory that every pod has. */
function credentialsOf(settings: Place): CredentialSource {
  if (settings.KUBECONFIG !== undefined && settings.SERVICE_ACCOUNT_DIRECTORY === undefined) {
    return { kind: "Kubeconfig", path: settings.KUBECONFIG, context: settings.CONTEXT };
  }
  const host = settings.KUBERNETES_SERVICE_HOST ?? "";
  const server = `https://${host.includes(":") ? `[${host}]` : host}:${settings.KUBERNETES_SERVICE_PORT ?? "443"}`;
  return { kind: "ServiceAccount", directory: settings.SERVICE_ACCOUNT_DIRECTORY ?? podDirectory, server };
}

function jsonObject(text: string, context: z.RefinementCtx): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(text);
    if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
      return parsed as Record<string, unknown>;
  } catch {
    // Told below, like every other text that is no object.
  }
  context.addIssue({ code: "custom", message: `must be a JSON object: ${text.slice(0, 80)}` });
  return z.NEVER;
}
