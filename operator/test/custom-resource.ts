import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parse } from "yaml";
import { isAlreadyExists } from "../src/kubernetes/api-error.ts";
import type { ApiClient } from "../src/kubernetes/client.ts";
import type { KubeObject } from "../src/kubernetes/kube-object.ts";
import { until } from "./until.ts";

/** Where definitions of resources are kept. */
export const definitions = {
  group: "apiextensions.k8s.io",
  version: "v1",
  plural: "customresourcedefinitions",
  kind: "CustomResourceDefinition",
  scope: "Cluster",
} as const;
const forever = { signal: new AbortController().signal };
const path = join(import.meta.dirname, "../../crds/trainingrun.dev_trainingruns.yaml");

/** Installs the committed CRD and waits until the API server serves it. */
export async function installTrainingRuns(client: ApiClient): Promise<void> {
  const definition = parse(await readFile(path, "utf8")) as KubeObject;
  try {
    await client.create({ resource: definitions }, definition, forever);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
  }
  await until("the CRD is established", async () => {
    const found = await client.get<KubeObject>({ resource: definitions, name: definition.metadata.name }, forever);
    const { conditions } = found.status as { conditions?: readonly { type: string; status: string }[] };
    return conditions?.some(({ type, status }) => type === "Established" && status === "True") || undefined;
  });
}
