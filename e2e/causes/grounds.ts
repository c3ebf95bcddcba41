import { z } from "zod";
import { until } from "../harness/run-access.ts";
import type { Ground } from "./row.ts";

/** A namespace that has room for no pod. */
export async function withoutQuota({ installation: { api }, namespace, signal }: Ground): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/resourcequotas`;
  const spec = { hard: { pods: "0" } };
  await api.expect("POST", path, { apiVersion: "v1", kind: "ResourceQuota", metadata: { name: "none" }, spec });
  // Until its controller has looked, the API server refuses pods for another reason.
  await until("the quota to be counted", signal, async () => {
    const { status } = Quota.parse(await api.expect("GET", `${path}/none`));
    return status?.hard?.pods === "0";
  });
}

const Quota = z.object({ status: z.object({ hard: z.object({ pods: z.string() }).optional() }).optional() });

/** A namespace whose containers may not have what the operator's agent asks for. */
export async function withLimits({ installation: { api }, namespace, signal }: Ground): Promise<void> {
  const limits = [{ type: "Container", max: { memory: "16Mi" } }];
  await api.expect("POST", `/api/v1/namespaces/${namespace}/limitranges`, {
    apiVersion: "v1",
    kind: "LimitRange",
    metadata: { name: "tiny" },
    spec: { limits },
  });
  await untilRefused({ installation: { api }, namespace, signal });
}

/** A namespace in which a policy of the cluster's administrator refuses every pod of a run. */
export async function withPolicy({ installation: { api }, namespace, signal }: Ground): Promise<void> {
  const name = `e2e-${namespace}`;
  const group = "/apis/admissionregistration.k8s.io/v1";
  const resourceRules = [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] }];
  const message = "runs are not welcome here";
  await api.expect("POST", `${group}/validatingadmissionpolicies`, {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicy",
    metadata: { name },
    spec: { matchConstraints: { resourceRules }, validations: [{ expression: "false", message }] },
  });
  const namespaceSelector = { matchLabels: { "kubernetes.io/metadata.name": namespace } };
  await api.expect("POST", `${group}/validatingadmissionpolicybindings`, {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "ValidatingAdmissionPolicyBinding",
    metadata: { name },
    spec: { policyName: name, validationActions: ["Deny"], matchResources: { namespaceSelector } },
  });
  await untilRefused({ installation: { api }, namespace, signal });
}

type Place = Readonly<{ installation: Pick<Ground["installation"], "api">; namespace: string; signal: AbortSignal }>;

/** The API server hears of a new rule by a watch, and admits pods until then. */
async function untilRefused({ installation: { api }, namespace, signal }: Place): Promise<void> {
  const resources = { requests: { memory: "64Mi" }, limits: { memory: "64Mi" } };
  const pod = {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "probe" },
    spec: { containers: [{ name: "probe", image: "none", resources }] },
  };
  await until(`pods to be refused in ${namespace}`, signal, async () => {
    const { status } = await api.request("POST", `/api/v1/namespaces/${namespace}/pods?dryRun=All`, pod);
    return status === 403 || status === 422;
  });
}
