import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { ApiClient } from "./api-client.ts";
import { ApiRefused } from "./api-error.ts";

/** Whose volumes these are: written on claims by Kubernetes, on volumes by us. */
const provisionerName = "trainingrun.dev/directory";
const className = "standard";
const provisionedBy = "pv.kubernetes.io/provisioned-by";
const claimsPath = "/api/v1/persistentvolumeclaims";
const volumesPath = "/api/v1/persistentvolumes";
const lookAgainAfterMs = 10_000;
const pauseAfterErrorMs = 500;

const listMetadata = z.object({ resourceVersion: z.string() });
const metadata = z.object({
  name: z.string(),
  namespace: z.string().optional(),
  uid: z.string(),
  annotations: z.record(z.string(), z.string()).default({}),
});
const claimsSchema = z.object({
  metadata: listMetadata,
  items: z.array(
    z.object({
      metadata,
      spec: z.object({
        storageClassName: z.string().optional(),
        volumeName: z.string().optional(),
        accessModes: z.array(z.string()),
        resources: z.object({ requests: z.object({ storage: z.string() }) }),
      }),
    }),
  ),
});
const volumesSchema = z.object({
  metadata: listMetadata,
  items: z.array(
    z.object({
      metadata,
      spec: z.object({ persistentVolumeReclaimPolicy: z.string().optional() }),
      status: z.object({ phase: z.string().optional() }).default({}),
    }),
  ),
});
type Claim = z.infer<typeof claimsSchema>["items"][number];
type Volume = z.infer<typeof volumesSchema>["items"][number];

/**
 * Makes `standard` the default class of storage. Its volumes are directories of this machine, which all nodes share, so
 * every node reaches every volume. Binding waits for the first pod: bound at once, a pod that is made together with its
 * claim would first be found unschedulable and tried again a second later.
 */
export async function createStorageClass(client: ApiClient): Promise<void> {
  await createOnce(client, "/apis/storage.k8s.io/v1/storageclasses", {
    metadata: { name: className, annotations: { "storageclass.kubernetes.io/is-default-class": "true" } },
    provisioner: provisionerName,
    reclaimPolicy: "Delete",
    volumeBindingMode: "WaitForFirstConsumer",
  });
}

/** Where the volumes' directories are and who is asked about them. */
export interface Provisioner {
  readonly client: ApiClient;
  readonly directory: string;
}

/**
 * Gives every claim of the class a directory and a volume, and takes both away when the claim is gone, until aborted.
 * Watches say only when to look again; what to do follows from what is there, so a missed event costs a few seconds.
 */
export async function runProvisioner(provisioner: Provisioner, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const seen = await provision(provisioner);
      await waitForChange(provisioner.client, seen, signal);
    } catch (error) {
      // The API server is away, somebody else changed an object first, the disk is full: look again, a little later. One
      // volume that cannot be made must not take the cluster down.
      if (!signal.aborted) console.error("Looking at the volumes again soon:", error);
      await delay(pauseAfterErrorMs, undefined, { signal }).catch(() => {});
    }
  }
}

/** The resource versions up to which the two lists were seen. */
interface Seen {
  readonly claims: string;
  readonly volumes: string;
}

async function provision({ client, directory }: Provisioner): Promise<Seen> {
  const claims = claimsSchema.parse(await client.expect("GET", claimsPath));
  const volumes = volumesSchema.parse(await client.expect("GET", volumesPath));
  for (const claim of claims.items) {
    if (isWaiting(claim)) await makeVolume(client, directory, claim);
  }
  for (const volume of volumes.items) {
    if (isReleased(volume)) await removeVolume(client, directory, volume);
  }
  return { claims: claims.metadata.resourceVersion, volumes: volumes.metadata.resourceVersion };
}

function isWaiting({ metadata, spec }: Claim): boolean {
  return (
    spec.storageClassName === className &&
    spec.volumeName === undefined &&
    metadata.annotations["volume.kubernetes.io/storage-provisioner"] === provisionerName &&
    metadata.annotations["volume.kubernetes.io/selected-node"] !== undefined
  );
}

function isReleased({ metadata, spec, status }: Volume): boolean {
  return (
    metadata.annotations[provisionedBy] === provisionerName &&
    spec.persistentVolumeReclaimPolicy === "Delete" &&
    status.phase === "Released"
  );
}

/** First the directory, then the volume that refers to it; named by the claim's uid, so a repeat changes nothing. */
async function makeVolume(client: ApiClient, directory: string, { metadata, spec }: Claim): Promise<void> {
  const name = `pvc-${metadata.uid}`;
  await mkdir(join(directory, name), { recursive: true, mode: 0o755 });
  await createOnce(client, volumesPath, {
    metadata: { name, annotations: { [provisionedBy]: provisionerName } },
    spec: {
      capacity: spec.resources.requests,
      accessModes: spec.accessModes,
      persistentVolumeReclaimPolicy: "Delete",
      storageClassName: className,
      claimRef: { kind: "PersistentVolumeClaim", apiVersion: "v1", ...identityOf(metadata) },
      // A local volume, not a hostPath: the kubelet gives it to the pod's fsGroup, as it does with a real disk.
      local: { path: join(directory, name) },
      nodeAffinity: {
        required: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: "kubernetes.io/hostname", operator: "Exists" }] }],
        },
      },
    },
  });
}

/** First the directory, then the volume: a directory without a volume would never be looked at again. */
async function removeVolume(client: ApiClient, directory: string, { metadata }: Volume): Promise<void> {
  await rm(join(directory, metadata.name), { recursive: true, force: true });
  await client.expect("DELETE", `${volumesPath}/${metadata.name}`, { preconditions: { uid: metadata.uid } });
}

function identityOf({ namespace, name, uid }: Claim["metadata"]) {
  return { namespace, name, uid };
}

/** Creates an object, or leaves the one of that name that is there. */
async function createOnce(client: ApiClient, path: string, body: object): Promise<void> {
  const answer = await client.request("POST", path, body);
  if (answer.status === 409 || answer.status < 300) return;
  throw new ApiRefused(`POST ${path}`, answer.status, answer.body);
}

/** Returns at the first change after `seen`, when a watch ends or breaks, and after ten seconds at the latest. */
async function waitForChange(client: ApiClient, seen: Seen, signal: AbortSignal): Promise<void> {
  const done = new AbortController();
  const stop = AbortSignal.any([signal, done.signal, AbortSignal.timeout(lookAgainAfterMs)]);
  const change = async (path: string, resourceVersion: string) => {
    for await (const _line of client.lines(path, { watch: "true", resourceVersion }, stop)) return;
  };
  try {
    await Promise.race([change(claimsPath, seen.claims), change(volumesPath, seen.volumes)]);
  } finally {
    done.abort();
  }
}
