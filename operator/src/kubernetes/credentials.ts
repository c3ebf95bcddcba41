import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { dirname, join, resolve } from "node:path";
import { createSecureContext } from "node:tls";
import { KubeConfig, loadYaml } from "@kubernetes/client-node";
import { Agent, type Dispatcher } from "undici";
import { z } from "zod";
import { sleep } from "./sleep.ts";

/** All that a request needs to reach the API server as ourselves. */
export type Access = Readonly<{
  server: string;
  headers: Readonly<Record<string, string>>;
  dispatcher: Dispatcher;
}>;

/** Where the credentials come from. */
export type CredentialSource =
  | Readonly<{ kind: "Kubeconfig"; path: string; context?: string | undefined }>
  /** A pod's own: `directory` holds `token` and `ca.crt`. */
  | Readonly<{ kind: "ServiceAccount"; directory: string; server: string }>;

/** Credentials that cannot be used, before any request was made. */
export class CredentialsError extends Error {
  override readonly name = "CredentialsError";
}

export type CredentialsOptions = Readonly<{
  /** Told when credentials that were readable cannot be read any more, once until they can. */
  onUnreadable?: (error: CredentialsError) => void;
  now?: () => number;
}>;

//             read                    30 s, or a 401, or distrust
//   Unread ─────────► Read ─────────────────────────────────────────► read again ──► Read
//                       ▲                                                 │
//                       └── the last good ones stay in use, for 1 s ◄─────┘ unreadable, or for 10 s no end of it

/**
 * Credentials that follow their files. A service account's token is replaced on disk about once an hour and the
 * cluster's authority now and then; both are read again every half minute, after a 401, and where one side does not
 * trust the other. Files caught while they are replaced cost nothing: what was read before is used until they can be
 * read, and so it is while a program that a kubeconfig names for them hangs. One pool of connections serves all requests, and is replaced only when the server or the TLS material changed:
 * a handshake per request would cost more than the requests.
 */
export class Credentials {
  readonly #source: CredentialSource;
  readonly #options: CredentialsOptions;
  readonly #now: () => number;
  readonly #retired = new Set<Dispatcher>();
  #access: Access | undefined;
  /** Settles when the reading under way has ended, and after a while where it does not; there is one at a time. */
  #reading: Promise<void> | undefined;
  #material = "";
  #readAgainAt = Number.NEGATIVE_INFINITY;
  #isUnreadable = false;

  constructor(source: CredentialSource, options: CredentialsOptions = {}) {
    this.#source = source;
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** The access to use for the next request. */
  async current(): Promise<Access> {
    if (this.#access === undefined || this.#now() >= this.#readAgainAt) {
      this.#reading ??= this.#readWithin(readingLimitMs);
      await this.#reading;
    }
    if (this.#access === undefined)
      throw new CredentialsError("Cannot reach the API server because no credentials were read");
    return this.#access;
  }

  /** To be called after a 401, or where TLS failed: the next request reads the files again. */
  expire(): void {
    this.#readAgainAt = Number.NEGATIVE_INFINITY;
  }

  /** Closes every pool; requests under way are cut off. */
  async close(): Promise<void> {
    const pools = [...this.#retired, ...(this.#access === undefined ? [] : [this.#access.dispatcher])];
    await Promise.all(pools.map((dispatcher) => dispatcher.destroy()));
  }

  async #readWithin(limitMs: number): Promise<void> {
    const over = new AbortController();
    const reading = this.#readAgain().finally(() => {
      over.abort();
      this.#reading = undefined;
    });
    const tooLong = sleep(limitMs, over.signal).then(
      () => this.#goOnAfter(hanging(this.#source, limitMs)),
      () => reading,
    );
    await Promise.race([reading, tooLong]);
  }

  async #readAgain(): Promise<void> {
    try {
      await this.#read();
      this.#readAgainAt = this.#now() + rereadAfterMs;
      this.#isUnreadable = false;
    } catch (error) {
      this.#goOnAfter(error);
    }
  }

  /** What was read before stays in use; where nothing was, the error is thrown. */
  #goOnAfter(error: unknown): void {
    if (this.#access === undefined || !(error instanceof CredentialsError)) throw error;
    this.#readAgainAt = this.#now() + unreadableAgainMs;
    if (!this.#isUnreadable) this.#options.onUnreadable?.(error);
    this.#isUnreadable = true;
  }

  async #read(): Promise<void> {
    const { server, options } = await readAll(this.#source);
    const tls = {
      ca: options.ca,
      cert: options.cert,
      key: options.key,
      passphrase: options.passphrase,
      rejectUnauthorized: options.rejectUnauthorized,
      servername: options.servername,
    };
    const material = JSON.stringify([server, tls]);
    const headers = headersOf(options);
    const isAnonymous = headers.authorization === undefined && tls.cert === undefined;
    if (isAnonymous && (this.#source.kind === "ServiceAccount" || this.#access?.headers.authorization !== undefined)) {
      throw new CredentialsError(`Cannot reach the API server because ${wordsFor(this.#source)} holds no token`);
    }
    if (this.#access !== undefined && material === this.#material) {
      this.#access = { ...this.#access, headers };
      return;
    }
    proveUsable(tls, this.#source);
    const retired = this.#access?.dispatcher;
    this.#material = material;
    this.#access = { server, headers, dispatcher: pool(tls) };
    if (retired !== undefined) this.#retire(retired);
  }

  /** Requests under way on the old pool may end; new ones take the new pool. */
  #retire(dispatcher: Dispatcher): void {
    this.#retired.add(dispatcher);
    const forget = () => this.#retired.delete(dispatcher);
    void dispatcher.close().then(forget, forget);
  }
}

const rereadAfterMs = 30_000;
const unreadableAgainMs = 1_000;
const readingLimitMs = 10_000;

async function readAll(source: CredentialSource): Promise<Readonly<{ server: string; options: RequestOptions }>> {
  const config = load(source);
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new CredentialsError(
      `Cannot reach the API server because ${wordsFor(source)} names no cluster for context ${config.getCurrentContext()}`,
    );
  }
  if (cluster.proxyUrl) {
    throw new CredentialsError(
      `Cannot reach the API server because proxies are not supported: proxy-url ${cluster.proxyUrl}`,
    );
  }
  const options: RequestOptions = {};
  try {
    await config.applyToHTTPSOptions(options);
  } catch (cause) {
    throw new CredentialsError(
      `Cannot reach the API server because its credentials cannot be read from ${wordsFor(source)}: ${String(cause)}`,
      { cause },
    );
  }
  return { server: cluster.server.replace(/\/+$/, ""), options };
}

function load(source: CredentialSource): KubeConfig {
  const config = new KubeConfig();
  try {
    if (source.kind === "Kubeconfig") {
      config.loadFromFile(source.path);
      takeTokenFiles(config, source.path);
      if (source.context !== undefined) config.setCurrentContext(source.context);
    } else {
      config.loadFromClusterAndUser(
        { name: "cluster", server: source.server, caFile: join(source.directory, "ca.crt"), skipTLSVerify: false },
        {
          name: "pod",
          authProvider: { name: "tokenFile", config: { tokenFile: join(source.directory, "token") } },
        },
      );
    }
  } catch (cause) {
    throw new CredentialsError(
      `Cannot reach the API server because its credentials cannot be read from ${wordsFor(source)}: ${String(cause)}`,
      { cause },
    );
  }
  return config;
}

const TokenFiles = z.looseObject({
  users: z
    .array(z.looseObject({ name: z.string(), user: z.looseObject({ tokenFile: z.string().optional() }).nullish() }))
    .nullish(),
});

/** client-node 2.0.1 looks for `tokenFile` under a name that no kubeconfig has. It wins over a token, as for kubectl. */
function takeTokenFiles(config: KubeConfig, path: string): void {
  const { users } = TokenFiles.parse(loadYaml(readFileSync(path, "utf8")));
  const files = new Map(users?.map(({ name, user }) => [name, user?.tokenFile]));
  config.users = config.users.map((user) => {
    const file = files.get(user.name);
    if (file === undefined) return user;
    const { token: _, ...rest } = user;
    const tokenFile = resolve(dirname(path), file);
    return { ...rest, authProvider: { name: "tokenFile", config: { tokenFile } } };
  });
}

function hanging(source: CredentialSource, limitMs: number): CredentialsError {
  return new CredentialsError(
    `Cannot reach the API server because its credentials were not read from ${wordsFor(source)} within ${limitMs} ms`,
  );
}

function wordsFor(source: CredentialSource): string {
  return source.kind === "Kubeconfig" ? source.path : source.directory;
}

function headersOf(options: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
  if (options.auth) headers.authorization = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  return headers;
}

/** A certificate of which half is written, or whose key is not there yet, would fail each connection made with it. */
function proveUsable({ ca, cert, key, passphrase }: RequestOptions, source: CredentialSource): void {
  try {
    if (ca) proveCertificates(String(ca));
    createSecureContext({ cert, key, passphrase });
  } catch (cause) {
    throw new CredentialsError(
      `Cannot reach the API server because its certificates cannot be used as they stand in ${wordsFor(source)}: ${String(cause)}`,
      { cause },
    );
  }
}

/** What is no certificate among authorities is left out by TLS without a word, and then trusts nobody. */
function proveCertificates(text: string): void {
  const begun = text.split("-----BEGIN CERTIFICATE-----").slice(1);
  if (begun.length === 0) throw new Error("the authority is no certificate");
  for (const rest of begun) new X509Certificate(`-----BEGIN CERTIFICATE-----${rest}`);
}

// HTTP/1.1 on purpose: with HTTP/2 one stalled connection would hold every watch at once.
function pool(tls: Record<string, unknown>): Agent {
  const connect = Object.fromEntries(Object.entries(tls).filter(([, value]) => value !== undefined));
  return new Agent({
    allowH2: false,
    pipelining: 1,
    keepAliveTimeout: 60_000,
    connect: { ...connect, timeout: 10_000, keepAliveInitialDelay: 15_000 },
  });
}
