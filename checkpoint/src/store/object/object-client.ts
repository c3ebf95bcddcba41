import { createHash } from "node:crypto";
import { Agent as HttpAgent, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "minio";
import { type Credentials, readAuthority, readCredentials } from "./credentials.ts";
import { type Exchange, exchanging, transport } from "./exchange.ts";
import { describeFailure, mayPass, ObjectStoreError, type RequestFailure } from "./object-store-error.ts";

/** Where a bucket is and how to be let in. */
export type ObjectStoreAddress = Readonly<{
  /** `http://` or `https://`, a host, and a port where it is not the scheme's. */
  endpoint: string;
  bucket: string;
  region?: string | undefined;
  /** Directory of the key files; see {@link readCredentials}. */
  credentials: string;
}>;

/** How long and how often a request is tried. */
export type Patience = Readonly<{
  /** Of one try, beside the time for its bytes. */
  requestMs: number;
  /** The slowest transfer that is waited for. */
  bytesPerSecond: number;
  tries: number;
  firstPauseMs: number;
  longestPauseMs: number;
}>;

export const defaultPatience: Patience = {
  requestMs: 15_000,
  bytesPerSecond: 256 * 1024,
  tries: 6,
  firstPauseMs: 100,
  longestPauseMs: 5_000,
};

/** One part of a large object, as the store acknowledged it. */
export type UploadedPart = Readonly<{ part: number; etag: string }>;
/** An upload that was begun and neither completed nor aborted. */
export type OpenUpload = Readonly<{ key: string; uploadId: string }>;
export type ListedKey = Readonly<{ key: string; bytes: number }>;

type Options = ObjectStoreAddress & Readonly<{ patience?: Patience; signal?: AbortSignal }>;
type Sent = Readonly<{ what: string; bytes?: number }>;

/**
 * A bucket, through the official `minio` package, which signs and speaks XML. It has no deadlines, retries no network
 * error and keeps no status of the errors it retries, so each request is sent by {@link ObjectClient.#send}: under a
 * deadline of its own, repeated with growing, jittered pauses while that may help, and ended by the client's signal.
 *
 * All methods throw {@link ObjectStoreError}. Every write may be repeated: parts and unique keys carry the same bytes
 * each time, and a conditional create whose reply was lost says `exists`.
 */
export class ObjectClient {
  readonly bucket: string;
  readonly endpoint: string;
  readonly #url: URL;
  readonly #region: string;
  readonly #credentials: string;
  readonly #patience: Patience;
  readonly #signal: AbortSignal | undefined;
  #current: Readonly<{ keys: string; client: Client; agent: HttpAgent }> | null = null;

  constructor({ endpoint, bucket, region, credentials, patience, signal }: Options) {
    this.#url = endpointUrl(endpoint);
    this.endpoint = this.#url.origin;
    this.bucket = bucket;
    this.#region = region ?? "us-east-1";
    this.#credentials = credentials;
    this.#patience = patience ?? defaultPatience;
    this.#signal = signal;
  }

  /** Puts an object in one request. With `ifAbsent` it says `exists`, and changes nothing, where the key is taken. */
  async put(key: string, bytes: Uint8Array, { ifAbsent }: { ifAbsent: boolean }): Promise<"created" | "exists"> {
    const headers = { "Content-MD5": md5(bytes), ...(ifAbsent && { "If-None-Match": "*" }) };
    return this.#send({ what: `put ${key}`, bytes: bytes.byteLength }, async (client) => {
      const request = { method: "PUT", bucketName: this.bucket, objectName: key, headers };
      const answer = await client.makeRequestAsync(request, asBuffer(bytes), [200, 412]);
      await drain(answer);
      return answer.statusCode === 412 ? "exists" : "created";
    });
  }

  /** Fills `target` from `position` on and returns how much there was; null where the object is not there. */
  async read(key: string, target: Uint8Array, position: number): Promise<number | null> {
    if (target.byteLength === 0) return 0;
    const headers = { Range: `bytes=${position}-${position + target.byteLength - 1}` };
    return this.#send({ what: `get ${key}`, bytes: target.byteLength }, async (client) => {
      const request = { method: "GET", bucketName: this.bucket, objectName: key, headers };
      const answer = await client.makeRequestAsync(request, "", [200, 206, 404, 416]);
      if (answer.statusCode === 404) return this.#absent(await text(answer));
      if (answer.statusCode === 416) return drain(answer).then(() => 0);
      // A store that ignores ranges answers with the whole object.
      return fill(target, answer, answer.statusCode === 200 ? position : 0);
    });
  }

  /** Size of an object in bytes, or null where it is not there. */
  async size(key: string): Promise<number | null> {
    return this.#send({ what: `look at ${key}` }, async (client) => {
      const request = { method: "HEAD", bucketName: this.bucket, objectName: key };
      const answer = await client.makeRequestAsync(request, "", [200, 404]);
      await drain(answer);
      return answer.statusCode === 404 ? null : Number(answer.headers["content-length"]);
    });
  }

  /** Everything below a prefix, at most `limit` keys and one more; folders count once where `delimiter` is given. */
  async list(prefix: string, { delimiter, limit }: { delimiter: "" | "/"; limit: number }) {
    const keys: ListedKey[] = [];
    const folders: string[] = [];
    for (let token = ""; ; ) {
      const page = await this.#send({ what: `list ${prefix}` }, (client) =>
        client.listObjectsV2Query(this.bucket, prefix, token, delimiter, 1000, ""),
      );
      for (const item of page.objects) {
        if (item.name === undefined) folders.push(item.prefix);
        else keys.push({ key: item.name, bytes: Number(item.size) });
      }
      if (!page.isTruncated || keys.length + folders.length > limit) return { keys, folders };
      token = page.nextContinuationToken;
    }
  }

  /** Removes objects; one that is not there is fine. */
  async remove(keys: readonly string[]): Promise<void> {
    if (keys.length === 0) return;
    await this.#send(
      { what: `remove ${keys[0]}${keys.length > 1 ? ` and ${keys.length - 1} more` : ""}` },
      async (client) => {
        const answers = await client.removeObjects(this.bucket, [...keys]);
        const error = answers.flatMap((answer) => answer?.Error ?? [])[0];
        if (error === undefined || error.Code === "NoSuchKey") return;
        throw Object.assign(new Error(error.Message ?? "it was not removed"), { code: error.Code ?? "" });
      },
    );
  }

  /** Begins an upload in parts and returns its id. */
  beginUpload(key: string): Promise<string> {
    return this.#send({ what: `begin ${key}` }, (client) => client.initiateNewMultipartUpload(this.bucket, key, {}));
  }

  /** Uploads part `part`, counted from 1, of at least 5 MiB unless it is the last. */
  putPart({ key, uploadId }: OpenUpload, part: number, bytes: Uint8Array): Promise<UploadedPart> {
    const headers = { "Content-MD5": md5(bytes) };
    return this.#send({ what: `put part ${part} of ${key}`, bytes: bytes.byteLength }, async (client) => {
      const config = { bucketName: this.bucket, objectName: key, uploadID: uploadId, partNumber: part, headers };
      const { etag } = await client.uploadPart(config, asBuffer(bytes));
      return { part, etag };
    });
  }

  /** Makes an object of its parts; readers see it whole from then on. */
  async completeUpload({ key, uploadId }: OpenUpload, { parts, bytes }: { parts: UploadedPart[]; bytes: number }) {
    try {
      await this.#send({ what: `complete ${key}` }, (client) =>
        client.completeMultipartUpload(this.bucket, key, uploadId, parts),
      );
    } catch (error) {
      // The reply to an earlier try may have been lost: then the upload is gone and the object is there.
      if ((await this.size(key)) !== bytes) throw error;
    }
  }

  /** Gives up an upload and its parts; one that is gone is fine. */
  async abortUpload({ key, uploadId }: OpenUpload): Promise<void> {
    await this.#send({ what: `abort the upload of ${key}` }, async (client) => {
      const request = { method: "DELETE", bucketName: this.bucket, objectName: key, query: `uploadId=${uploadId}` };
      await drain(await client.makeRequestAsync(request, "", [200, 204, 404]));
    });
  }

  /** Uploads below a prefix that were begun and not ended; the first thousand, which is more than one run leaves. */
  async openUploads(prefix: string): Promise<OpenUpload[]> {
    const { uploads } = await this.#send({ what: `list the uploads below ${prefix}` }, (client) =>
      client.listIncompleteUploadsQuery(this.bucket, prefix, "", "", ""),
    );
    return uploads.map(({ key, uploadId }) => ({ key, uploadId: String(uploadId) }));
  }

  /** Whether the bucket is there for these keys. */
  async bucketExists(): Promise<boolean> {
    return this.#send({ what: "look at the bucket" }, async (client) => {
      const answer = await client.makeRequestAsync({ method: "HEAD", bucketName: this.bucket }, "", [200, 404]);
      await drain(answer);
      return answer.statusCode === 200;
    });
  }

  /** Closes idle connections. */
  close(): void {
    this.#current?.agent.destroy();
    this.#current = null;
  }

  async #send<T>({ what, bytes = 0 }: Sent, request: (client: Client) => Promise<T>): Promise<T> {
    const { requestMs, bytesPerSecond, tries } = this.#patience;
    for (let tried = 1; ; tried += 1) {
      this.#throwIfStopped(what);
      const client = await this.#client();
      const deadline = AbortSignal.timeout(Math.ceil(requestMs + (bytes / bytesPerSecond) * 1000));
      const signal = this.#signal === undefined ? deadline : AbortSignal.any([deadline, this.#signal]);
      const exchange: Exchange = { signal, status: null, errorText: "" };
      try {
        return await exchanging(exchange, () => request(client));
      } catch (error) {
        this.#throwIfStopped(what);
        const failure = failureOf(error, { exchange, timedOut: deadline.aborted });
        if (!mayPass(failure) || tried >= tries) throw describeFailure(failure, { what, where: this.#where });
        await this.#pause(tried, what);
      }
    }
  }

  async #pause(tried: number, what: string): Promise<void> {
    const { firstPauseMs, longestPauseMs } = this.#patience;
    const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** (tried - 1));
    // Full jitter: many agents lose the same store at the same moment.
    await sleep(Math.random() * longest, undefined, this.#signal && { signal: this.#signal }).catch(() => {});
    this.#throwIfStopped(what);
  }

  #throwIfStopped(what: string): void {
    if (this.#signal?.aborted !== true) return;
    throw new ObjectStoreError("Stopped", `Cannot ${what} in ${this.#where} because this process is ending`, {
      cause: this.#signal.reason,
    });
  }

  async #client(): Promise<Client> {
    const credentials = await readCredentials(this.#credentials);
    const authority = this.#url.protocol === "https:" ? await readAuthority(this.#credentials) : null;
    const keys = JSON.stringify([credentials, authority]);
    if (this.#current?.keys !== keys) {
      // Requests on the way keep the old agent's connections until they end.
      const agent = makeAgent(this.#url.protocol, authority);
      this.#current = { keys, agent, client: this.#makeClient(credentials, agent) };
    }
    return this.#current.client;
  }

  #makeClient({ accessKeyId, secretAccessKey, sessionToken }: Credentials, agent: HttpAgent): Client {
    const { hostname, port, protocol } = this.#url;
    const client = new Client({
      endPoint: hostname,
      ...(port !== "" && { port: Number(port) }),
      useSSL: protocol === "https:",
      accessKey: accessKeyId,
      secretKey: secretAccessKey,
      ...(sessionToken !== null && { sessionToken }),
      region: this.#region,
      pathStyle: true,
      transport: transport(protocol === "https:" ? "https:" : "http:"),
      transportAgent: agent,
      retryOptions: { disableRetry: true },
    });
    // Bodies are protected by Content-MD5; a SHA-256 beside it costs ten times the transfer on machines without it in hardware.
    client.enableSHA256 = false;
    return client;
  }

  /** Null for an object that is not there; a bucket that is not there is a failure. */
  #absent(errorText: string): null {
    if (codeIn(errorText) !== "NoSuchBucket") return null;
    throw Object.assign(new Error("the bucket does not exist"), { code: "NoSuchBucket" });
  }

  get #where(): string {
    return `${this.endpoint}/${this.bucket}`;
  }
}

const maxConnections = 16;

function makeAgent(protocol: string, authority: string | null): HttpAgent {
  const common = { keepAlive: true, maxSockets: maxConnections, keepAliveMsecs: 10_000 };
  if (protocol === "http:") return new HttpAgent(common);
  return new HttpsAgent(authority === null ? common : { ...common, ca: [authority] });
}

function endpointUrl(endpoint: string): URL {
  const url = URL.parse(endpoint);
  const isPlain = url !== null && url.pathname === "/" && url.search === "" && url.username === "";
  if (isPlain && (url.protocol === "http:" || url.protocol === "https:")) return url;
  throw new ObjectStoreError(
    "EndpointUnreachable",
    `Cannot use ${JSON.stringify(endpoint)} as an object store because an endpoint is http:// or https:// with a host and nothing behind it: correct checkpoint.objectStore.endpoint`,
  );
}

function failureOf(error: unknown, { exchange, timedOut }: { exchange: Exchange; timedOut: boolean }): RequestFailure {
  const message = error instanceof Error ? error.message : String(error);
  if (timedOut) return { status: null, code: "ETIMEDOUT", message: "no answer in time", cause: error };
  const status = exchange.status;
  // A connection that broke in the middle of a good answer is no answer.
  const broke = status !== null && status < 300;
  const code = codeIn(exchange.errorText) ?? codeOf(error);
  return { status: broke ? null : status, code, message, cause: error };
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}

function codeIn(errorText: string): string | undefined {
  return /<Code>([A-Za-z]{1,100})<\/Code>/.exec(errorText)?.[1];
}

/** Copies an answer's body, from `skip` bytes on, into `target`; a body that breaks off throws. */
async function fill(target: Uint8Array, answer: IncomingMessage, skip: number): Promise<number> {
  let at = -skip;
  for await (const piece of answer as AsyncIterable<Buffer>) {
    const from = Math.max(0, -at);
    const room = target.byteLength - Math.max(0, at);
    if (from < piece.byteLength) target.set(piece.subarray(from, from + room), Math.max(0, at));
    at += piece.byteLength;
    // More than was asked for: only from a store that ignores ranges. Ending early costs the connection.
    if (at > target.byteLength) break;
  }
  return Math.max(0, Math.min(at, target.byteLength));
}

async function drain(answer: IncomingMessage): Promise<void> {
  for await (const _ of answer) {
    // Read to the end, so that the connection can be used again.
  }
}

async function text(answer: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of answer as AsyncIterable<Buffer>) pieces.push(piece);
  return Buffer.concat(pieces).toString("utf8");
}

function md5(bytes: Uint8Array): string {
  return createHash("md5").update(bytes).digest("base64");
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
