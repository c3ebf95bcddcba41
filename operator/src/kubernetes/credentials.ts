import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { dirname, join, resolve } from "node:path";
import { KubeConfig, loadYaml } from "@kubernetes/client-node";
import { Agent, type Dispatcher } from "undici";
import { z } from "zod";

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

/**
 * Credentials that follow their files. A service account's token is replaced on disk about once an hour and
 * the cluster's authority now and then; both are read again every half minute and after a 401. One pool of
 * connections serves all requests, and is replaced only when the TLS material changed: a handshake per
 * request would cost more than the requests.
 */
export class Credentials {
  readonly #source: CredentialSource;
  readonly #now: () => number;
  #access: Access | undefined;
  #material = "";
  #readAt = 0;

  constructor(source: CredentialSource, now: () => number = () => performance.now()) {
    this.#source = source;
    this.#now = now;
  }

  /** The access to use for the next request. */
  async current(): Promise<Access> {
    if (this.#access === undefined || this.#now() - this.#readAt > rereadAfterMs) await this.#read();
    if (this.#access === undefined)
      throw new CredentialsError("Cannot reach the API server because no credentials were read");
    return this.#access;
  }

  /** To be called after a 401: the next request reads the files again. */
  expire(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
  }

  /** Closes the pool; requests under way are cut off. */
  async close(): Promise<void> {
    await this.#access?.dispatcher.destroy();
  }

  async #read(): Promise<void> {
    const config = load(this.#source);
    const cluster = config.getCurrentCluster();
    if (cluster === null) {
      throw new CredentialsError(
        `Cannot reach the API server because ${wordsFor(this.#source)} names no cluster for context ${config.getCurrentContext()}`,
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
        `Cannot reach the API server because its credentials cannot be read from ${wordsFor(this.#source)}: ${String(cause)}`,
        { cause },
      );
    }
    const tls = {
      ca: options.ca,
      cert: options.cert,
      key: options.key,
      passphrase: options.passphrase,
      rejectUnauthorized: options.rejectUnauthorized,
      servername: options.servername,
    };
    const material = JSON.stringify(tls);
    const headers = headersOf(options);
    this.#readAt = this.#now();
    if (this.#access !== undefined && material === this.#material) {
      this.#access = { ...this.#access, headers };
      return;
    }
    const retired = this.#access?.dispatcher;
    this.#material = material;
    this.#access = { server: cluster.server.replace(/\/+$/, ""), headers, dispatcher: pool(tls) };
    // Requests under way on the old pool may end; new ones take the new pool.
    void retired?.close().catch(() => undefined);
  }
}

const rereadAfterMs = 30_000;

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

function wordsFor(source: CredentialSource): string {
  return source.kind === "Kubeconfig" ? source.path : source.directory;
}

function headersOf(options: RequestOptions): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(options.headers ?? {})) headers[name.toLowerCase()] = String(value).trim();
  if (options.auth) headers.authorization = `Basic ${Buffer.from(options.auth).toString("base64")}`;
  return headers;
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
