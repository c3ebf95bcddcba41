import { mkdir, rm } from "node:fs/promises";
import { z } from "zod";
import type { Installation } from "../harness/installation.ts";
import { type ObjectStore, startStore } from "../object-store/store.ts";

const secretName = "demo-object-store";

/** The S3 server of a demo, and how its trainings are told of it. */
export type DemoStore = Readonly<{
  /** The manifest with the store as its second tier. */
  withStore(manifest: unknown): Record<string, unknown>;
  stop(): Promise<void>;
}>;

const Manifest = z.looseObject({
  spec: z.looseObject({ checkpoint: z.looseObject({}) }),
});

/**
 * Starts a real S3 server where the cluster's pods can reach it, beside the API server, and puts its keys into a Secret
 * of the namespace. It is empty at the start of each demo.
 */
export async function startDemoStore(
  { api }: Pick<Installation, "api">,
  { directory, namespace, signal }: { directory: string; namespace: string; signal: AbortSignal },
): Promise<DemoStore> {
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  const store = await startStore("versitygw", { directory, host: new URL(api.server).hostname, signal });
  try {
    await putSecret(api, { namespace, store });
  } catch (error) {
    await store.stop();
    throw error;
  }
  const { endpoint, bucket, region } = store.access;
  const objectStore = { endpoint, bucket, region, credentialsSecretName: secretName };
  return {
    withStore(manifest) {
      const { spec, ...rest } = Manifest.parse(manifest);
      return { ...rest, spec: { ...spec, checkpoint: { ...spec.checkpoint, objectStore } } };
    },
    stop: () => store.stop(),
  };
}

/** The keys differ from demo to demo, so an old Secret goes first. */
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
