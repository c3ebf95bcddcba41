import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { openObjectStore, type ObjectStore as RunObjects } from "@trainingrun/checkpoint/store/object/object-store.ts";
import { z } from "zod";
import { type ObjectStore, startStore } from "../object-store/store.ts";
import type { Installation } from "./installation.ts";

const secretName = "object-store";

/** An S3 server that a cluster's pods reach, and how its runs are told of it. */
export type ClusterStore = Readonly<{
  /** The manifest with the store as a tier. */
  withStore<M>(manifest: M): M;
  /** A run's objects, as its agents see them, until the store stops. */
  open(runUid: string): Promise<RunObjects>;
  stop(): Promise<void>;
}>;

const Manifest = z.looseObject({
  spec: z.looseObject({ checkpoint: z.looseObject({}) }),
});

/**
 * Starts a real S3 server where the cluster's pods can reach it, beside the API server, and puts its keys into a Secret
 * of the namespace. It is empty at the start.
 */
export async function startClusterStore(
  { api }: Pick<Installation, "api">,
  { directory, namespace, signal }: { directory: string; namespace: string; signal: AbortSignal },
): Promise<ClusterStore> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const store = await startStore("versitygw", { directory, host: new URL(api.server).hostname, signal });
  try {
    await putSecret(api, { namespace, store });
  } catch (error) {
    await store.stop();
    throw error;
  }
  const { endpoint, bucket, region, accessKeyId, secretAccessKey } = store.access;
  const objectStore = { endpoint, bucket, region, credentialsSecretName: secretName };
  const credentials = join(directory, "keys");
  const opened: RunObjects[] = [];
  return {
    withStore<M>(manifest: M): M {
      const { spec, ...rest } = Manifest.parse(manifest);
      return { ...rest, spec: { ...spec, checkpoint: { ...spec.checkpoint, objectStore } } } as M;
    },
    async open(runUid) {
      await mkdir(credentials, { recursive: true });
      for (const [name, text] of Object.entries({ accessKeyId, secretAccessKey })) {
        await writeFile(join(credentials, name), text);
      }
      const objects = await openObjectStore({ endpoint, bucket, region, runUid, credentials });
      opened.push(objects);
      return objects;
    },
    async stop() {
      for (const objects of opened) objects.close();
      await store.stop();
    },
  };
}

/** The keys differ from store to store, so an old Secret goes first. */
async function putSecret(
  api: Installation["api"],
  { namespace, store }: { namespace: string; store: ObjectStore },
): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}/secrets`;
  await api.request("DELETE", `${path}/${secretName}`);
  const { accessKeyId, secretAccessKey } = store.access;
  await api.expect("POST", path, {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: secretName },
    stringData: { accessKeyId, secretAccessKey },
  });
}
