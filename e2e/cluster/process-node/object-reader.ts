import { z } from "zod";
import type { ApiClient } from "../control-plane/api-client.ts";
import { isNotFound } from "../control-plane/api-error.ts";

const Data = z.object({
  data: z.record(z.string(), z.string()).default({}),
  binaryData: z.record(z.string(), z.string()).default({}),
});
const Claim = z.object({ spec: z.object({ volumeName: z.string().default("") }) });
const PersistentVolume = z.object({
  spec: z.object({
    hostPath: z.object({ path: z.string() }).optional(),
    local: z.object({ path: z.string() }).optional(),
  }),
});
const TokenRequest = z.object({ status: z.object({ token: z.string() }) });

/** The contents of a ConfigMap or Secret, by key. */
export type Contents = ReadonlyMap<string, Buffer>;

/** Something that a container needs is missing; the node tries again later. */
export class Unavailable extends Error {
  override readonly name = "Unavailable";
}

/** Reads what pods refer to, always live: a node keeps no cache of what it needs once per container. */
export class ObjectReader {
  readonly #client: ApiClient;

  constructor(client: ApiClient) {
    this.#client = client;
  }

  /** The contents of a ConfigMap; undefined when there is none. */
  async configMap(namespace: string, name: string): Promise<Contents | undefined> {
    const object = await this.#find(`/api/v1/namespaces/${namespace}/configmaps/${name}`, Data);
    if (object === undefined) return undefined;
    const text = Object.entries(object.data).map(([key, value]): [string, Buffer] => [key, Buffer.from(value)]);
    return new Map([...text, ...decoded(object.binaryData)]);
  }

  /** The contents of a Secret; undefined when there is none. */
  async secret(namespace: string, name: string): Promise<Contents | undefined> {
    const object = await this.#find(`/api/v1/namespaces/${namespace}/secrets/${name}`, Data);
    return object === undefined ? undefined : new Map(decoded(object.data));
  }

  /**
   * The directory on this machine that a claim stands for.
   *
   * @throws {Unavailable} when the claim is missing or unbound, or its volume is not a directory of this machine.
   */
  async claimDirectory(namespace: string, name: string): Promise<string> {
    const claim = await this.#find(`/api/v1/namespaces/${namespace}/persistentvolumeclaims/${name}`, Claim);
    if (claim === undefined) throw new Unavailable(`persistentvolumeclaim "${name}" not found`);
    const volumeName = claim.spec.volumeName;
    if (volumeName === "") throw new Unavailable(`persistentvolumeclaim "${name}" is not bound to a volume yet`);
    const volume = await this.#find(`/api/v1/persistentvolumes/${volumeName}`, PersistentVolume);
    const path = volume?.spec.hostPath?.path ?? volume?.spec.local?.path;
    if (path !== undefined) return path;
    const problem = volume === undefined ? "it does not exist" : "it is neither hostPath nor local";
    throw new Unavailable(
      `Cannot mount volume "${volumeName}" of claim "${name}" on a process node because ${problem}`,
    );
  }

  /** A token of a service account that is good as long as the pod is. */
  async serviceAccountToken(options: {
    namespace: string;
    serviceAccount: string;
    pod: { name: string; uid: string };
    audience: string | undefined;
    expirationSeconds: number;
  }): Promise<string> {
    const { namespace, pod } = options;
    const body = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: {
        audiences: options.audience === undefined ? [] : [options.audience],
        expirationSeconds: options.expirationSeconds,
        boundObjectRef: { kind: "Pod", apiVersion: "v1", name: pod.name, uid: pod.uid },
      },
    };
    const path = `/api/v1/namespaces/${namespace}/serviceaccounts/${options.serviceAccount}/token`;
    return TokenRequest.parse(await this.#client.call({ method: "POST", path, body })).status.token;
  }

  async #find<T extends z.ZodType>(path: string, schema: T): Promise<z.infer<T> | undefined> {
    try {
      return schema.parse(await this.#client.call({ method: "GET", path }));
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }
}

function decoded(data: Readonly<Record<string, string>>): [string, Buffer][] {
  return Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64")]);
}
