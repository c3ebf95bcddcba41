import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { trainingRuns } from "../src/control/caches.ts";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { events, pods } from "../src/kubernetes/resource.ts";
import { credentialsOf, until, useApiServer } from "./api-server.ts";
import { installTrainingRuns } from "./custom-resource.ts";
import { leaseName, OperatorReplica } from "./operator-replica.ts";

const forever = { signal: new AbortController().signal };
const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const accounts = {
  group: "",
  version: "v1",
  plural: "serviceaccounts",
  kind: "ServiceAccount",
  scope: "Namespaced",
} as const;
const isLease = (path: string) => path.includes("/leases/");
const rbac = { group: "rbac.authorization.k8s.io", version: "v1", scope: "Namespaced" } as const;
const roles = { ...rbac, plural: "roles", kind: "Role" } as const;
const bindings = { ...rbac, plural: "rolebindings", kind: "RoleBinding" } as const;

/** All that the operator may ask for in a namespace it serves. */
const rules = [
  { apiGroups: ["trainingrun.dev"], resources: ["trainingruns"], verbs: ["get", "list", "watch", "patch", "delete"] },
  { apiGroups: ["trainingrun.dev"], resources: ["trainingruns/status"], verbs: ["patch"] },
  { apiGroups: ["trainingrun.dev"], resources: ["trainingruns/finalizers"], verbs: ["update"] },
  { apiGroups: [""], resources: ["pods"], verbs: ["get", "list", "watch", "create", "patch", "delete"] },
  { apiGroups: [""], resources: ["persistentvolumeclaims"], verbs: ["get", "list", "watch", "create", "delete"] },
  { apiGroups: [""], resources: ["services"], verbs: ["get", "create"] },
  { apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create", "patch", "list"] },
];

/** What it may ask for besides, where it runs: that is the same namespace here. */
const leaseRules = [
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["create"] },
  {
    apiGroups: ["coordination.k8s.io"],
    resources: ["leases"],
    resourceNames: [leaseName],
    verbs: ["get", "watch", "patch"],
  },
];

describe("an operator that has a Role in one namespace and nothing else", () => {
  const namespace = `rights-${process.pid}`;
  const api = useApiServer(installTrainingRuns);
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "trainingrun-rights-"));
    await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
    const metadata = { name: "operator", namespace };
    await api.direct.create({ resource: accounts, namespace }, { metadata }, forever);
    await api.direct.create({ resource: roles, namespace }, { metadata, rules: [...rules, ...leaseRules] }, forever);
    const binding = {
      metadata,
      roleRef: { apiGroup: rbac.group, kind: "Role", name: "operator" },
      subjects: [{ kind: "ServiceAccount", name: "operator", namespace }],
    };
    await api.direct.create({ resource: bindings, namespace }, binding, forever);
  });

  afterAll(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  /** A kubeconfig with the service account's token and the server of the administrator's. */
  async function ownCredentials(): Promise<Credentials> {
    const target = { resource: accounts, namespace, name: "operator", subresource: "token" };
    const request = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: { expirationSeconds: 3_600 },
    };
    const answer = await api.direct.create<KubeObject>(target, request, forever);
    const { token } = answer.status as { token: string };
    const path = join(directory, "kubeconfig");
    const { server: url } = await api.credentials.current();
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": "own",
      contexts: [{ name: "own", context: { cluster: "own", user: "own" } }],
      clusters: [{ name: "own", cluster: { server: url, "insecure-skip-tls-verify": true } }],
      users: [{ name: "own", user: { token } }],
    };
    await writeFile(path, JSON.stringify(config));
    return credentialsOf(path);
  }

  it("leads, begins an attempt, says so in an event, and asks for nothing that it may not have", async () => {
    const own = await ownCredentials();
    const operator = await OperatorReplica.start(own, { namespace, name: "operator", watchNodes: false });
    try {
      const run = {
        apiVersion: "trainingrun.dev/v1alpha1",
        kind: "TrainingRun",
        metadata: { name: "mnist" },
        spec: {
          template: {
            spec: { schedulerName: "the-test", containers: [{ name: "trainer", image: "i", command: ["c"] }] },
          },
          checkpoint: {
            volume: { claimTemplate: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } } },
            interval: { steps: 100 },
          },
        },
      };
      await api.direct.create({ resource: trainingRuns, namespace }, run, forever);
      await until("the pod exists and the event is written", async () => {
        const made = await api.direct.list<KubeObject>({ resource: pods, namespace }, {}, forever);
        const told = await api.direct.list<KubeObject>({ resource: events, namespace }, {}, forever);
        return (made.items.length === 1 && told.items.length > 0) || undefined;
      });
      const renewals = () => operator.proxy.answered.filter(({ method, path }) => method === "PATCH" && isLease(path));
      await until("it has renewed its lease", () => renewals().length > 0);
      expect(operator.proxy.watches("/leases")).toHaveLength(1);
      expect(operator.proxy.answered.filter(({ status }) => status === 401 || status === 403)).toEqual([]);
    } finally {
      await operator.stop();
      await own.close();
    }
  });
});
