import { setTimeout as delay } from "node:timers/promises";
import type { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import type { KubeObject } from "@trainingrun/operator/kubernetes/kube-object.ts";
import { claims } from "@trainingrun/operator/kubernetes/resource.ts";

/** The claim that all pods use: what a claim of each run's own costs is the cost of its provisioner. */
export const claimName = "checkpoints";

const volumes = {
  group: "",
  version: "v1",
  plural: "persistentvolumes",
  kind: "PersistentVolume",
  scope: "Cluster",
} as const;
const bindTimeoutMs = 60_000;

/** Creates it with its volume; resolves once it is bound. */
export async function createSharedClaim(client: ApiClient, namespace: string, signal: AbortSignal): Promise<void> {
  const storage = "1Ti";
  const common = { accessModes: ["ReadWriteMany"], storageClassName: "" };
  const volume = {
    metadata: { name: claimName },
    spec: {
      ...common,
      capacity: { storage },
      hostPath: { path: "/nowhere" },
      claimRef: { kind: "PersistentVolumeClaim", apiVersion: "v1", namespace, name: claimName },
    },
  };
  const claim = {
    metadata: { name: claimName },
    spec: { ...common, volumeName: claimName, resources: { requests: { storage } } },
  };
  await client.create({ resource: volumes }, volume, { signal });
  await client.create({ resource: claims, namespace }, claim, { signal });
  const endsAt = performance.now() + bindTimeoutMs;
  while (!isBound(await client.get<KubeObject>({ resource: claims, namespace, name: claimName }, { signal }))) {
    if (performance.now() > endsAt) throw new Error(`Cannot go on: claim ${namespace}/${claimName} is not bound`);
    await delay(100, undefined, { signal });
  }
}

function isBound({ status }: KubeObject): boolean {
  return (status as { phase?: string } | undefined)?.phase === "Bound";
}
