import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Config, readConfig, readReleaseConfig } from "@trainingrun/operator/config.ts";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { z } from "zod";
import { ensureHelm } from "../cluster/build/binaries.ts";
import { chartDirectory, helm, kubeVersion, only, type Rendered, refusalOf, release, renderChart } from "./render.ts";
import { readmeWithTable } from "./values-table.ts";

const repository = join(import.meta.dirname, "../..");

beforeAll(async () => {
  await ensureHelm();
}, 15 * 60_000);

describe("what the chart renders by default", () => {
  test("is these objects", async () => {
    expect((await renderChart({})).map(name).sort()).toEqual([
      "ClusterRole trainingrun-system:trainingrun-trainingrun-operator",
      "ClusterRole trainingrun-system:trainingrun-trainingrun-operator:edit",
      "ClusterRole trainingrun-system:trainingrun-trainingrun-operator:release",
      "ClusterRole trainingrun-system:trainingrun-trainingrun-operator:view",
      "ClusterRoleBinding trainingrun-system:trainingrun-trainingrun-operator",
      "ClusterRoleBinding trainingrun-system:trainingrun-trainingrun-operator:release",
      "CustomResourceDefinition trainingruns.trainingrun.dev",
      "Deployment trainingrun-system/trainingrun-trainingrun-operator",
      "Job trainingrun-system/trainingrun-trainingrun-operator-release",
      "PodDisruptionBudget trainingrun-system/trainingrun-trainingrun-operator",
      "Role trainingrun-system/trainingrun-trainingrun-operator-lease",
      "Role trainingrun-system/trainingrun-trainingrun-operator-release",
      "RoleBinding trainingrun-system/trainingrun-trainingrun-operator-lease",
      "RoleBinding trainingrun-system/trainingrun-trainingrun-operator-release",
      "Service trainingrun-system/trainingrun-trainingrun-operator-metrics",
      "ServiceAccount trainingrun-system/trainingrun-trainingrun-operator",
      "ServiceAccount trainingrun-system/trainingrun-trainingrun-operator-release",
    ]);
  });

  test("passes helm lint with --strict", async () => {
    await expect(helm(["lint", chartDirectory, "--strict", "--kube-version", kubeVersion], {})).resolves.toContain(
      "0 chart(s) failed",
    );
  });

  test("lets the operator do what the golden file says, and nothing else", async () => {
    const objects = (await renderChart({})).filter((object) => component(object) === "operator");
    const golden = parse(await readFile(join(import.meta.dirname, "golden/operator-role.yaml"), "utf8"));
    expect(objects.find(({ kind }) => kind === "ClusterRole")?.rules).toEqual(golden.rules);
    expect(only(objects, "Role").rules).toEqual(golden.leaseRules);
  });

  test("carries the generated CRD, value by value", async () => {
    const generated = parse(await readFile(join(repository, "crds/trainingrun.dev_trainingruns.yaml"), "utf8"));
    expect(only(await renderChart({}), "CustomResourceDefinition").spec).toEqual(generated.spec);
  });

  test("has no object outside the release's namespace but the cluster's own kinds", async () => {
    const namespaced = (await renderChart({})).filter(({ kind }) => !/^(Cluster|CustomResource)/.test(kind));
    expect(new Set(namespaced.map(({ metadata }) => metadata.namespace))).toEqual(new Set([release.namespace]));
  });
});

describe("what the operator reads is what the chart writes", () => {
  const readBack = async (values: unknown): Promise<Config> =>
    readConfig(environmentOf(podOf(await renderChart(values)).spec), []);

  test("by default", async () => {
    expect(await readBack({})).toEqual({
      credentials: {
        kind: "ServiceAccount",
        directory: "/var/run/secrets/kubernetes.io/serviceaccount",
        server: "https://10.96.0.1:443",
      },
      watchNamespaces: [],
      watchNodes: true,
      pods: {
        agentImage: "localhost/trainingrun/agent:0.1.0",
        agentImagePullPolicy: "IfNotPresent",
        agentResources: { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "512Mi" } },
      },
      listen: { address: "the pod's status.podIP", port: 8080 },
      workers: 4,
      api: { requestsPerSecond: 50, burst: 100, inFlight: 32 },
      probeIntervalSeconds: 2,
      lease: { namespace: "the pod's metadata.namespace", name: "trainingrun-trainingrun-operator" },
      instance: "the pod's metadata.name",
    });
  });

  test("with every setting changed", async () => {
    const digest = `sha256:${"0".repeat(64)}`;
    const config = await readBack({
      watchNamespaces: ["team-a", "team-b"],
      watchNodes: false,
      agent: {
        image: { repository: "registry.example.com/agent", digest, pullPolicy: "Always" },
        resources: { requests: null, limits: { cpu: 1 } },
      },
      metrics: { port: 9090 },
      controller: { workers: 8, probeIntervalSeconds: 5, api: { requestsPerSecond: 10, burst: 20, inFlight: 4 } },
    });
    expect(config).toMatchObject({
      watchNamespaces: ["team-a", "team-b"],
      watchNodes: false,
      pods: {
        agentImage: `registry.example.com/agent@${digest}`,
        agentImagePullPolicy: "Always",
        agentResources: { limits: { cpu: 1, memory: "512Mi" } },
      },
      listen: { port: 9090 },
      workers: 8,
      api: { requestsPerSecond: 10, burst: 20, inFlight: 4 },
      probeIntervalSeconds: 5,
    });
  });
});

describe("roles follow the namespaces that are watched", () => {
  const cases = [
    { watched: "all namespaces", values: {}, roles: [], cluster: ["nodes", "trainingruns"] },
    {
      watched: "two namespaces, and nodes",
      values: { watchNamespaces: ["team-a", "team-b"] },
      roles: ["team-a", "team-b"],
      cluster: ["nodes"],
    },
    {
      watched: "one namespace, without nodes",
      values: { watchNamespaces: ["team-a"], watchNodes: false },
      roles: ["team-a"],
      cluster: [],
    },
    { watched: "no role is wanted", values: { rbac: { create: false, aggregate: false } }, roles: [], cluster: [] },
  ];
  test.each(cases)("$watched", async ({ values, roles, cluster }) => {
    const objects = await renderChart({ rbac: { aggregate: false }, ...values });
    const ofKind = (kind: string) =>
      objects.filter((object) => object.kind === kind && component(object) === "operator" && !isOfTheLease(object));
    expect(ofKind("Role").map(({ metadata }) => metadata.namespace)).toEqual(roles);
    expect(ofKind("RoleBinding").map(({ metadata }) => metadata.namespace)).toEqual(roles);
    const lease = objects.filter(isOfTheLease).map(({ kind, metadata }) => `${kind} ${metadata.namespace}`);
    const here = [`Role ${release.namespace}`, `RoleBinding ${release.namespace}`];
    expect(lease).toEqual("rbac" in values ? [] : here);
    const resources = ofKind("ClusterRole").flatMap((role) => rulesOf(role).flatMap((rule) => rule.resources));
    expect(resources.filter((resource) => ["nodes", "trainingruns"].includes(resource))).toEqual(cluster);
    expect(ofKind("ClusterRoleBinding")).toHaveLength(cluster.length === 0 ? 0 : 1);
  });

  test("a Role in a namespace has the rules of the ClusterRole, but for nodes", async () => {
    const everywhere = rulesOf((await renderChart({})).find(({ kind }) => kind === "ClusterRole"));
    const values = { watchNamespaces: ["team-a"], uninstall: { releaseFinalizers: false } };
    const objects = (await renderChart(values)).filter((object) => !isOfTheLease(object));
    const there = rulesOf(only(objects, "Role"));
    expect(there).toEqual(everywhere.filter(({ resources }) => !resources.includes("nodes")));
  });
});

describe("what takes the finalizers off before an uninstall", () => {
  test("is told what the program asks for, with the operator's image, user and place", async () => {
    const objects = await renderChart({
      image: { repository: "registry.example.com/operator", tag: "1.2.3" },
      imagePullSecrets: [{ name: "registry" }],
      nodeSelector: { pool: "control" },
      tolerations: [{ key: "control", operator: "Exists" }],
      watchNamespaces: ["team-a", "team-b"],
      uninstall: { timeoutSeconds: 60 },
    });
    const job = only(objects, "Job");
    const { spec } = z.object({ template: Pod }).parse(job.spec).template;
    const operator = podOf(objects).spec;
    expect(readReleaseConfig(environmentOf(spec), [])).toMatchObject({
      watchNamespaces: ["team-a", "team-b"],
      operator: {
        namespace: release.namespace,
        deployment: only(objects, "Deployment").metadata.name,
        selector:
          "app.kubernetes.io/component=operator,app.kubernetes.io/instance=trainingrun,app.kubernetes.io/name=trainingrun-operator",
        lease: environmentOf(operator).LEASE_NAME,
      },
      timeoutSeconds: 60,
    });
    expect(spec.containers[0]).toMatchObject({ image: "registry.example.com/operator:1.2.3", args: ["release"] });
    for (const field of ["imagePullSecrets", "nodeSelector", "tolerations", "securityContext"]) {
      expect(spec[field]).toEqual(operator[field]);
    }
    expect(job.metadata.annotations).toMatchObject({ "helm.sh/hook": "pre-delete" });
    expect(job.spec).toMatchObject({ activeDeadlineSeconds: 120 });
  });

  test("is not taken for the operator by what selects the operator's pods", async () => {
    const objects = await renderChart({ podLabels: { team: "ml" } });
    const { metadata } = z.object({ template: Pod }).parse(only(objects, "Job").spec).template;
    expect(metadata.labels).toMatchObject({ team: "ml", "app.kubernetes.io/component": "release" });
  });

  test.each([
    { watched: "all namespaces", values: {}, where: [undefined, release.namespace] },
    {
      watched: "two namespaces",
      values: { watchNamespaces: ["team-a", "team-b"] },
      where: [release.namespace, "team-a", "team-b"],
    },
  ])("has rights over finalizers in $watched, and over the one Deployment", async ({ values, where }) => {
    const roles = (await renderChart(values)).filter(
      (object) => /Role$/.test(object.kind) && component(object) === "release",
    );
    expect(roles.map(({ metadata }) => metadata.namespace)).toEqual(where);
    const rules = roles.flatMap(rulesOf).map(({ resources, verbs }) => `${resources} ${verbs}`);
    expect([...new Set(rules)].sort()).toEqual([
      "deployments/scale patch",
      "leases get,delete",
      "pods list",
      "pods list,patch",
      "trainingruns list,patch",
    ]);
  });

  test.each([{ uninstall: { releaseFinalizers: false } }, { rbac: { create: false } }])(
    "is left out with %j",
    async (values) => {
      expect((await renderChart(values)).filter((object) => component(object) === "release")).toEqual([]);
    },
  );
});

describe("monitors", () => {
  test("are made only where they are asked for", async () => {
    const monitor = { enabled: true, interval: "15s", labels: { release: "prometheus" } };
    const objects = await renderChart({
      metrics: { serviceMonitor: monitor, podMonitor: monitor },
      watchNamespaces: ["team-a"],
    });
    const service = only(objects, "ServiceMonitor");
    expect(service.metadata.labels).toMatchObject({ release: "prometheus" });
    expect(service.spec).toMatchObject({
      selector: { matchLabels: { "app.kubernetes.io/component": "operator" } },
      endpoints: [{ port: "metrics", interval: "15s" }],
    });
    expect(only(objects, "PodMonitor").spec).toMatchObject({
      namespaceSelector: { matchNames: ["team-a"] },
      podMetricsEndpoints: [{ port: "agent", interval: "15s" }],
    });
  });

  test("of the operator need its Service", async () => {
    const values = { metrics: { service: { enabled: false }, serviceMonitor: { enabled: true } } };
    await expect(renderChart(values)).rejects.toThrow(
      "Cannot render the ServiceMonitor because metrics.service.enabled is false",
    );
  });
});

test("every object carries commonLabels and commonAnnotations, which never replace the chart's own", async () => {
  const objects = await renderChart({
    commonLabels: { team: "ml", "app.kubernetes.io/name": "not this one" },
    commonAnnotations: { note: "one", "helm.sh/resource-policy": "not this one" },
    metrics: { serviceMonitor: { enabled: true }, podMonitor: { enabled: true } },
  });
  for (const { metadata } of objects) {
    expect(metadata.labels).toMatchObject({ team: "ml", "app.kubernetes.io/name": "trainingrun-operator" });
    expect(metadata.annotations).toMatchObject({ note: "one" });
  }
  expect(only(objects, "CustomResourceDefinition").metadata.annotations).toMatchObject({
    "helm.sh/resource-policy": "keep",
  });
  expect(only(objects, "Job").metadata.annotations).toMatchObject({ "helm.sh/hook": "pre-delete" });
});

describe("the operator's pod", () => {
  test("takes what is set for it", async () => {
    const values = {
      image: { repository: "registry.example.com/operator", tag: "1.2.3", pullPolicy: "Always" },
      imagePullSecrets: [{ name: "registry" }],
      priorityClassName: "system-cluster-critical",
      nodeSelector: { pool: "control" },
      tolerations: [{ key: "control", operator: "Exists" }],
      affinity: { nodeAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [] } },
      topologySpreadConstraints: [{ maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "ScheduleAnyway" }],
      podAnnotations: { note: "one", "kubectl.kubernetes.io/default-container": "not this one" },
      podLabels: { team: "ml", "app.kubernetes.io/name": "not this one" },
      terminationGracePeriodSeconds: 5,
      serviceAccount: { create: false, name: "made-elsewhere" },
    };
    const { metadata, spec } = podOf(await renderChart(values));
    expect(metadata.annotations).toEqual({ note: "one", "kubectl.kubernetes.io/default-container": "operator" });
    expect(metadata.labels).toMatchObject({ team: "ml", "app.kubernetes.io/name": "trainingrun-operator" });
    expect(spec.containers[0]).toMatchObject({
      image: "registry.example.com/operator:1.2.3",
      imagePullPolicy: "Always",
    });
    expect(spec).toMatchObject({
      imagePullSecrets: values.imagePullSecrets,
      priorityClassName: values.priorityClassName,
      nodeSelector: values.nodeSelector,
      tolerations: values.tolerations,
      affinity: values.affinity,
      topologySpreadConstraints: values.topologySpreadConstraints,
      terminationGracePeriodSeconds: 5,
      serviceAccountName: "made-elsewhere",
    });
  });

  test("is found by what selects it, whatever labels are added", async () => {
    const objects = await renderChart({
      commonLabels: { team: "ml" },
      podLabels: { extra: "label" },
    });
    const { labels } = podOf(objects).metadata;
    const selectors = [
      z.object({ selector: z.object({ matchLabels: Labels }) }).parse(only(objects, "Deployment").spec).selector
        .matchLabels,
      z.object({ selector: z.object({ matchLabels: Labels }) }).parse(only(objects, "PodDisruptionBudget").spec)
        .selector.matchLabels,
      z.object({ selector: Labels }).parse(only(objects, "Service").spec).selector,
    ];
    for (const selector of selectors) expect(labels).toMatchObject(selector);
    expect(selectors[0]).not.toHaveProperty("team");
  });
});

describe("the operator's replicas", () => {
  test("are two, of which an eviction takes one, on two nodes where there are two", async () => {
    const objects = await renderChart({});
    const { replicas, selector } = z
      .object({ replicas: z.number(), selector: z.object({ matchLabels: Labels }) })
      .parse(only(objects, "Deployment").spec);
    expect(replicas).toBe(2);
    expect(only(objects, "PodDisruptionBudget").spec).toEqual({ maxUnavailable: 1, selector });
    const podAffinityTerm = { topologyKey: "kubernetes.io/hostname", labelSelector: selector };
    expect(podOf(objects).spec.affinity).toEqual({
      podAntiAffinity: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 100, podAffinityTerm }] },
    });
  });

  test("are replaced one after the other, each by one that is ready", async () => {
    const strategy = { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } };
    for (const values of [{}, { replicas: 1 }]) {
      expect(only(await renderChart(values), "Deployment").spec).toMatchObject({ strategy });
    }
  });

  test.each([{ replicas: 1 }, { replicas: 0 }, { podDisruptionBudget: { enabled: false } }])(
    "have no PodDisruptionBudget with %j: it would be of no use, or block every drain",
    async (values) => {
      expect((await renderChart(values)).map(({ kind }) => kind)).not.toContain("PodDisruptionBudget");
    },
  );
});

describe("the CRD", () => {
  test.each([
    { values: {}, policy: "keep" },
    { values: { crds: { keep: false } }, policy: undefined },
  ])("with $values has the resource policy $policy", async ({ values, policy }) => {
    const { annotations } = z
      .object({ annotations: Labels.default({}) })
      .parse(only(await renderChart(values), "CustomResourceDefinition").metadata);
    expect(annotations["helm.sh/resource-policy"]).toBe(policy);
  });

  test("is left out where crds.enabled is false", async () => {
    const kinds = (await renderChart({ crds: { enabled: false } })).map(({ kind }) => kind);
    expect(kinds).not.toContain("CustomResourceDefinition");
  });
});

describe("values that mean nothing are refused", () => {
  const refusals: readonly { values: unknown; says: string }[] = [
    { values: { replica: 1 }, says: "- at '': additional properties 'replica' not allowed" },
    { values: { replicas: 6 }, says: "- at '/replicas': maximum: got 6, want 5" },
    { values: { metrics: { port: 80 } }, says: "- at '/metrics/port': minimum: got 80, want 1,024" },
    { values: { agent: { images: {} } }, says: "- at '/agent': additional properties 'images' not allowed" },
    { values: { crds: { keep: "yes" } }, says: "- at '/crds/keep': got string, want boolean" },
    { values: { uninstall: { timeoutSeconds: 1 } }, says: "- at '/uninstall/timeoutSeconds': minimum: got 1, want 10" },
    { values: { controller: { workers: 0 } }, says: "- at '/controller/workers': minimum: got 0, want 1" },
  ];
  test.each(refusals)("$says", async ({ values, says }) => {
    expect(await refusalOf(values)).toEqual([says]);
  });

  test.each([
    { at: "/image/repository", values: { image: { repository: "" } } },
    { at: "/image/digest", values: { image: { digest: "sha256:short" } } },
    { at: "/agent/image/tag", values: { agent: { image: { tag: "with space" } } } },
    { at: "/watchNamespaces/0", values: { watchNamespaces: ["Team_A"] } },
    { at: "/image/pullPolicy", values: { image: { pullPolicy: "Sometimes" } } },
    { at: "/fullnameOverride", values: { fullnameOverride: "Not A Name" } },
    { at: "/metrics/podMonitor/interval", values: { metrics: { podMonitor: { interval: "often" } } } },
    { at: "/resources/limits/memory", values: { resources: { limits: { memory: "half a gig" } } } },
  ])("$at names what it must look like", async ({ at, values }) => {
    const [first] = await refusalOf(values);
    expect(first).toContain(`- at '${at}'`);
  });

  test("every value of values.yaml is in the schema, and every one in the schema has a default", async () => {
    const values = parse(await readFile(join(chartDirectory, "values.yaml"), "utf8"));
    const schema = JSON.parse(await readFile(join(chartDirectory, "values.schema.json"), "utf8"));
    expect(documented(values, schema).sort()).toEqual(described(schema, schema).sort());
  });
});

test("the README's table of values is what values.yaml says (else: node e2e/chart/values-table.ts)", async () => {
  expect(await readFile(join(chartDirectory, "README.md"), "utf8")).toBe(readmeWithTable());
});

/** A node of the schema, as far as it is walked here. */
type Schema = {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly $defs?: object;
};

/** The paths of all values that the schema names one by one. */
function described(schema: Schema, root: Schema, path = ""): string[] {
  const { properties } = resolved(schema, root);
  if (properties === undefined) return [path];
  return Object.entries(properties)
    .filter(([key]) => `${path}/${key}` !== "/global")
    .flatMap(([key, child]) => (key === "resources" ? [`${path}/${key}`] : described(child, root, `${path}/${key}`)));
}

/** The paths of all values of values.yaml, as deep as the schema names them. */
function documented(values: object, root: Schema, schema: Schema = root, path = ""): string[] {
  return Object.entries(values).flatMap(([key, value]) => {
    const child = resolved(resolved(schema, root).properties?.[key] ?? {}, root);
    if (key === "resources" || child.properties === undefined) return [`${path}/${key}`];
    return documented(value as object, root, child, `${path}/${key}`);
  });
}

function resolved(schema: Schema, root: Schema): Schema {
  const name = schema.$ref?.split("/").at(-1);
  return name === undefined ? schema : ((root.$defs as Record<string, Schema>)[name] ?? {});
}

const Labels = z.record(z.string(), z.string());
const Rules = z.array(
  z.object({ apiGroups: z.array(z.string()), resources: z.array(z.string()), verbs: z.array(z.string()) }),
);
const Variable = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z.object({ fieldRef: z.object({ fieldPath: z.string() }) }).optional(),
});
const Pod = z.object({
  metadata: z.object({ labels: Labels, annotations: Labels.default({}) }),
  spec: z.looseObject({ containers: z.array(z.looseObject({ image: z.string(), env: z.array(Variable) })) }),
});

function name({ kind, metadata }: Rendered): string {
  return `${kind} ${metadata.namespace === undefined ? "" : `${metadata.namespace}/`}${metadata.name}`;
}

function component({ metadata }: Rendered): string | undefined {
  return Labels.parse(metadata.labels)["app.kubernetes.io/component"];
}

/** The role by which the replicas lead, and its binding. */
function isOfTheLease({ metadata }: Rendered): boolean {
  return metadata.name.endsWith("-lease");
}

function rulesOf(role: Rendered | undefined): z.infer<typeof Rules> {
  return Rules.parse(role?.rules);
}

function podOf(objects: readonly Rendered[]): z.infer<typeof Pod> {
  return z.object({ template: Pod }).parse(only(objects, "Deployment").spec).template;
}

/** What the container would find in its environment in a cluster. */
function environmentOf(spec: z.infer<typeof Pod>["spec"]): Record<string, string> {
  const variables = spec.containers[0]?.env ?? [];
  const set = variables.map(({ name: key, value, valueFrom }) => [
    key,
    value ?? `the pod's ${valueFrom?.fieldRef.fieldPath}`,
  ]);
  return { ...Object.fromEntries(set), KUBERNETES_SERVICE_HOST: "10.96.0.1", KUBERNETES_SERVICE_PORT: "443" };
}
