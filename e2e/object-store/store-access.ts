import { readFileSync } from "node:fs";
import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { Client } from "minio";

/** A key pair that a store accepts. */
export interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

/** All that a client needs to reach one bucket. */
export interface StoreAccess extends Credentials {
  /** `http://127.0.0.1:9000`: no path. */
  readonly endpoint: string;
  readonly region: string;
  readonly bucket: string;
  /** The file with the authority to trust; only where the endpoint is https. */
  readonly caPath?: string | undefined;
}

/** A client that tries everything once, so that what a test sees is what happened on the wire. */
export function storeClient(access: StoreAccess): Client {
  const { protocol, hostname, port } = new URL(access.endpoint);
  const useSSL = protocol === "https:";
  const ca = access.caPath === undefined ? undefined : readFileSync(access.caPath);
  return new Client({
    endPoint: hostname,
    port: Number(port),
    useSSL,
    accessKey: access.accessKeyId,
    secretKey: access.secretAccessKey,
    region: access.region,
    pathStyle: true,
    transportAgent: useSSL ? new HttpsAgent({ ...(ca !== undefined && { ca }) }) : new HttpAgent(),
    retryOptions: { disableRetry: true },
  });
}
