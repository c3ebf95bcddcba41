import { Client } from "minio";
import { presentProcess } from "./process.ts";
import type { Scheduler } from "./scheduler.ts";

/** What the package makes of a request before it signs it, as far as it goes by that. */
type Sent = Readonly<{
  method: string;
  bucketName?: string;
  objectName?: string;
  query?: string;
  headers?: Readonly<Record<string, string | number>>;
}>;

/** What its client has, of which its types say that it is the client's own affair. */
type Inside = {
  readonly protocol: string;
  readonly host: string;
  readonly port: number;
  readonly accessKey: string;
  readonly transportAgent: unknown;
  anonymous: boolean;
  getRequestOptions(sent: Sent): unknown;
};

const unsigned = new WeakSet<Scheduler>();

/**
 * Lets the requests of a play to its stores go without a signature, of which the model looks at nothing but the id of the
 * keys and the date: to sign one costs more than all else about it. What asks, repeats, gives up and reads answers stays
 * the product's and the package's own.
 */
export function leaveUnsigned(scheduler: Scheduler): void {
  unsigned.add(scheduler);
}

// Protected, and so in no type of ours; a package of another version that has no such method fails at the first request.
const inside = Client.prototype as unknown as Inside;
const { getRequestOptions: withoutSignature } = inside;
inside.getRequestOptions = function (this: Inside, sent) {
  const scheduler = presentProcess()?.scheduler;
  if (scheduler === undefined || !unsigned.has(scheduler)) return withoutSignature.call(this, sent);
  // It asks right after this whether there is anything to sign with.
  this.anonymous = true;
  return requestOf(this, sent);
};

function requestOf({ protocol, host, port, accessKey, transportAgent }: Inside, sent: Sent) {
  const { method, bucketName = "", objectName = "", query = "", headers = {} } = sent;
  const key = objectName === "" ? "" : `/${objectName.split("/").map(encodeURIComponent).join("/")}`;
  const told: Record<string, string> = {
    host: `${host}:${port}`,
    "x-amz-date": new Date().toISOString().replaceAll(/[-:]|\.\d+/g, ""),
    authorization: `AWS4-HMAC-SHA256 Credential=${accessKey}/unsigned`,
  };
  for (const [name, value] of Object.entries(headers)) told[name.toLowerCase()] = String(value);
  const path = `/${bucketName}${key}${query === "" ? "" : `?${query}`}`;
  return { method, headers: told, protocol, agent: transportAgent, host, port, path };
}
