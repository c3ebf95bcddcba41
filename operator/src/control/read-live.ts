import { isNotFound } from "../kubernetes/api-error.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import type { Resource } from "../kubernetes/resource.ts";

/** Reads an object from the server itself; undefined where there is none. */
export async function readLive(
  resource: Resource,
  where: Readonly<{ namespace?: string; name: string }>,
  { client, bound }: Readonly<{ client: ApiClient; bound: Bound }>,
): Promise<KubeObject | undefined> {
  try {
    return await client.get({ resource, ...where }, bound);
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
