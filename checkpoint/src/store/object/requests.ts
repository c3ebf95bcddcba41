import { Agent as HttpAgent } from "node:http";
import { Agent as HttpsAgent } from "node:https";
import { setTimeout as sleep } from "node:timers/promises";
import { rootCertificates } from "node:tls";
import { Client, S3Error } from "minio";
import { AnswerError } from "./answers.ts";
import { type Credentials, MountedAccess } from "./credentials.ts";
import { type Exchange, exchanging, newExchange, transport } from "./exchange.ts";
import { describeFailure, mayPass, ObjectStoreError, type RequestFailure } from "./object-store-error.ts";
import { parseErrors } from "./s3-xml.ts";
import { Grace, TimeLimit } from "./time-limit.ts";

/** Where a bucket is and how to be let in. */
export type ObjectStoreAddress = Readonly<{
  /** `http://` or `https://`, a host, and a port where it is not the scheme's. */
  endpoint: string;
  bucket: string;
  region?: string | undefined;
  /** Directory of the key files; see {@link MountedAccess}. */
  credentials: string;
}>;

/** How long and how often a request is tried. */
export type Patience = Readonly<{
  /** Of one try, beside the time for its bytes; and the longest that nothing may move meanwhile. */
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

/**
 * What is asked, in words for errors, and what lengthens its time: `bytes` that it transfers, and `storedBytes` that the
 * store may have to copy before it says a word. What `goesOn` has a few seconds left after the stop.
 */
export type Asked = Readonly<{ what: string; bytes?: number; storedBytes?: number; goesOn?: boolean }>;

export type RequestOptions = ObjectStoreAddress & Readonly<{ patience?: Patience; signal?: AbortSignal }>;

const maxConnections = 16;
const graceMs = 3_000;

/**
 * Sends the requests for one bucket through the official `minio` package, which signs them. The package has no deadlines,
 * retries no network error and keeps no status of the errors it retries, so each request is sent under a deadline of its
 * own, repeated with growing, jittered pauses while that may help, and ended by the signal. Throws
 * {@link ObjectStoreError}.
 */
export class Requests {
  readonly bucket: string;
  readonly endpoint: string;
  readonly #url: URL;
  readonly #region: string;
  readonly #access: MountedAccess;
  readonly #patience: Patience;
  readonly #signal: AbortSignal | undefined;
  #agent: Readonly<{ authority: string | null; agent: HttpAgent }> | null = null;
  #signer: Readonly<{ keys: string; agent: HttpAgent; client: Client }> | null = null;

  constructor({ endpoint, bucket, region, credentials, patience, signal }: RequestOptions) {
    this.#url = endpointUrl(endpoint);
    this.endpoint = this.#url.origin;
    this.bucket = bucketName(bucket);
    this.#region = region ?? "us-east-1";
    this.#access = new MountedAccess(credentials);
    this.#patience = patience ?? defaultPatience;
    this.#signal = signal;
  }

  /** Sends what `request` sends with the client, as often as the patience allows. It must be safe to repeat. */
  async send<T>(asked: Asked, request: (client: Client) => Promise<T>): Promise<T> {
    using grace = asked.goesOn === true ? new Grace(graceMs, this.#signal) : null;
    const stop = grace?.signal ?? this.#signal;
    for (let tried = 1; ; tried += 1) {
      this.#throwIfStopped(asked.what, stop);
      const client = await this.#client();
      using limit = new TimeLimit(this.#limitMs(asked), stop);
      const exchange = newExchange({ signal: limit.signal, silenceMs: this.#silenceMs(asked) });
      try {
        return await exchanging(exchange, () => request(client));
      } catch (error) {
        this.#throwIfStopped(asked.what, stop);
        const failure = await failureOf(error, { exchange, isOver: limit.isOver });
        const isWorthwhile = mayPass(failure) || (await this.#hasOtherKeysThan(client));
        if (!isWorthwhile || tried >= this.#patience.tries) {
          throw describeFailure(failure, { ...asked, where: this.#where });
        }
        // What broke one connection may have broken those that wait for their next request, too.
        if (failure.status === null || failure.isCut) this.#dropIdleConnections();
      }
      await this.#pause(tried, stop);
    }
  }

  /** Breaks all connections. */
  close(): void {
    this.#agent?.agent.destroy();
    this.#agent = null;
    this.#signer = null;
  }

  get #where(): string {
    return `${this.endpoint}/${this.bucket}`;
  }

  #limitMs({ bytes = 0, storedBytes = 0 }: Asked): number {
    const { requestMs, bytesPerSecond } = this.#patience;
    return Math.ceil(requestMs + ((bytes + storedBytes) / bytesPerSecond) * 1000);
  }

  #silenceMs({ storedBytes = 0 }: Asked): number {
    return this.#limitMs({ what: "", storedBytes });
  }

  async #pause(tried: number, stop: AbortSignal | undefined): Promise<void> {
    const { firstPauseMs, longestPauseMs } = this.#patience;
    const longest = Math.min(longestPauseMs, firstPauseMs * 2 ** (tried - 1));
    // Full jitter: many agents lose the same store at the same moment.
    await sleep(Math.random() * longest, undefined, stop && { signal: stop }).catch(() => {});
  }

  #throwIfStopped(what: string, stop: AbortSignal | undefined): void {
    if (stop?.aborted !== true) return;
    throw new ObjectStoreError("Stopped", `Cannot ${what} in ${this.#where} because this process is ending`, {
      cause: stop.reason,
    });
  }

  /** Whether the keys were rotated while that client's were refused. */
  async #hasOtherKeysThan(client: Client): Promise<boolean> {
    return (await this.#client()) !== client;
  }

  async #client(): Promise<Client> {
    const { credentials, authority } = await this.#access.current();
    const agent = this.#agentFor(authority);
    const keys = JSON.stringify(credentials);
    if (this.#signer?.keys !== keys || this.#signer.agent !== agent) {
      this.#signer = { keys, agent, client: this.#makeClient(credentials, agent) };
    }
    return this.#signer.client;
  }

  /** One for as long as the authority stays the same. With another one, what is on its way breaks, and is tried again. */
  #agentFor(authority: string | null): HttpAgent {
    if (this.#agent !== null && (this.#agent.authority === authority || this.#url.protocol === "http:")) {
      return this.#agent.agent;
    }
    this.#agent?.agent.destroy();
    this.#agent = { authority, agent: makeAgent(this.#url.protocol, authority) };
    return this.#agent.agent;
  }

  #dropIdleConnections(): void {
    for (const socket of Object.values(this.#agent?.agent.freeSockets ?? {}).flat()) socket?.destroy();
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
    // Bodies carry an MD5 or a CRC-32; a SHA-256 beside it costs ten times the transfer on machines without it in hardware.
    client.enableSHA256 = false;
    return client;
  }
}

function makeAgent(protocol: string, authority: string | null): HttpAgent {
  const common = { keepAlive: true, maxSockets: maxConnections, keepAliveMsecs: 10_000 };
  if (protocol === "http:") return new HttpAgent(common);
  // A list of authorities takes the place of the usual ones.
  return new HttpsAgent(authority === null ? common : { ...common, ca: [...rootCertificates, authority] });
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

/** What the `minio` package accepts as a name, so that it throws nothing of its own for one. */
function bucketName(bucket: string): string {
  const isName = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket) && !bucket.includes("..");
  if (isName && !/\d+\.\d+\.\d+\.\d+/.test(bucket)) return bucket;
  throw new ObjectStoreError(
    "BucketMissing",
    `Cannot use ${JSON.stringify(bucket)} as a bucket because a bucket's name has 3 to 63 lower-case letters, digits, dots and dashes, and is no address: correct checkpoint.objectStore.bucket`,
  );
}

/** What is known of a request that failed. Throws the error itself where it has nothing to do with the store. */
async function failureOf(
  error: unknown,
  { exchange, isOver }: { exchange: Exchange; isOver: boolean },
): Promise<RequestFailure> {
  const message = error instanceof Error ? error.message : String(error);
  if (isOver) return { status: null, code: "ETIMEDOUT", message: "no answer in time", cause: error, isCut: false };
  const [found] = parseErrors(await exchange.errorText);
  const code = found?.code ?? codeOf(error);
  const { status } = exchange;
  if (status === null && code === "") throw error;
  const words = found?.message ?? message;
  // A good answer may hold nonsense, and a refusal is the package's to read: any other code is the connection's own.
  const isWord = error instanceof AnswerError || error instanceof S3Error;
  const isCut = status !== null && codeOf(error) !== "" && !isWord;
  return { status: isCut && status < 300 ? null : status, code, message: words, cause: error, isCut };
}

function codeOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return typeof code === "string" ? code : "";
}
