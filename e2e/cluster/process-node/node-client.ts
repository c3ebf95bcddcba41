import { KubeConfig } from "@kubernetes/client-node";
import { Agent, request } from "undici";
import { z } from "zod";
import type { Gate } from "./gate.ts";

const timeoutMs = 15_000;
const watchIdleMs = 360_000;

/** The API server answered, and the answer is no. */
export class RequestRefused extends Error {
  override readonly name = "RequestRefused";
  readonly statusCode: number;
  readonly reason: string;
  constructor(what: string, statusCode: number, body: string) {
    const status = StatusBody.safeParse(body).data;
    super(`Cannot ${what} because the API server answered ${statusCode}: ${status?.message ?? body.slice(0, 300)}`);
    this.statusCode = statusCode;
    this.reason = status?.reason ?? "";
  }
}

/** Whether an error says that the object is not there. */
export function isNotFound(error: unknown): boolean {
  return error instanceof RequestRefused && error.statusCode === 404;
}

/** Whether an error says that the object is already there. */
export function isConflict(error: unknown): boolean {
  return error instanceof RequestRefused && error.statusCode === 409;
}

/**
 * Whether an error says that the object of this name is another one now: a delete with a uid precondition is refused as
 * a conflict then, and a patch that carries the old uid as an attempt to change the uid.
 */
export function isOtherObject(error: unknown): boolean {
  if (!(error instanceof RequestRefused)) return false;
  const isOtherUid = error.statusCode === 409 && error.message.includes("UID in precondition");
  return isOtherUid || (error.statusCode === 422 && error.message.includes("metadata.uid"));
}

/** One call. */
export interface Call {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

const StatusBody = z
  .string()
  .transform((text, context): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      context.addIssue({ code: "custom", message: "must be JSON" });
      return z.NEVER;
    }
  })
  .pipe(z.object({ message: z.string().optional(), reason: z.string().optional() }));

const HttpsOptions = z.object({
  ca: z.instanceof(Buffer).optional(),
  cert: z.instanceof(Buffer).optional(),
  key: z.instanceof(Buffer).optional(),
  rejectUnauthorized: z.boolean().optional(),
  servername: z.string().optional(),
  headers: z.record(z.string(), z.string()).default({}),
});

/** The calls a node makes, over a few connections that stay open, each only while the node is not frozen. */
export class NodeClient {
  /** The API server's address, as in the kubeconfig. */
  readonly server: string;
  readonly #agent: Agent;
  readonly #headers: Readonly<Record<string, string>>;
  readonly #gate: Gate;

  private constructor(server: string, options: z.infer<typeof HttpsOptions>, gate: Gate) {
    const { headers, ...tls } = options;
    this.server = server.replace(/\/$/, "");
    this.#headers = headers;
    // Over HTTP/2, undici 8 throws out of nowhere when a connection is destroyed while one of its streams still ends.
    this.#agent = new Agent({ connect: tls, allowH2: false, connections: 32, keepAliveTimeout: 60_000 });
    this.#gate = gate;
  }

  /** @throws {Error} when the kubeconfig names no cluster. */
  static async fromKubeconfig(path: string, gate: Gate): Promise<NodeClient> {
    const config = new KubeConfig();
    config.loadFromFile(path);
    const server = config.getCurrentCluster()?.server;
    if (server === undefined) throw new Error(`Cannot use ${path} because it has no current cluster`);
    const options = {};
    await config.applyToHTTPSOptions(options);
    return new NodeClient(server, HttpsOptions.parse(options), gate);
  }

  /**
   * Makes one call and returns the parsed body. PATCH is a strategic merge patch.
   *
   * @throws {RequestRefused} for every status above 299.
   */
  async call(call: Call): Promise<unknown> {
    await this.#gate.pass();
    const limit = AbortSignal.timeout(timeoutMs);
    const response = await this.#send(call, call.signal === undefined ? limit : AbortSignal.any([limit, call.signal]));
    const text = await response.body.text();
    if (response.statusCode > 299) throw new RequestRefused(`${call.method} ${call.path}`, response.statusCode, text);
    return JSON.parse(text);
  }

  /** The lines of an endless answer, as they come. */
  async *lines(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncGenerator<string> {
    await this.#gate.pass();
    const response = await this.#send({ method: "GET", path, query }, signal);
    if (response.statusCode > 299) {
      throw new RequestRefused(`GET ${path}`, response.statusCode, await response.body.text());
    }
    let rest = "";
    response.body.setEncoding("utf8");
    for await (const chunk of response.body) {
      const lines = (rest + String(chunk)).split("\n");
      rest = lines.pop() ?? "";
      yield* lines.filter((line) => line !== "");
    }
    if (rest !== "") throw new Error(`Cannot trust GET ${path} because it ended inside a line: ${rest.slice(0, 80)}`);
  }

  /** Closes the connections; calls in flight fail. */
  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  #send(call: Call, signal: AbortSignal) {
    const query = call.query === undefined ? "" : `?${new URLSearchParams(call.query)}`;
    const type = call.method === "PATCH" ? "application/strategic-merge-patch+json" : "application/json";
    return request(`${this.server}${call.path}${query}`, {
      method: call.method,
      dispatcher: this.#agent,
      headers: { ...this.#headers, accept: "application/json", "content-type": type },
      body: call.body === undefined ? null : JSON.stringify(call.body),
      signal,
      bodyTimeout: watchIdleMs,
      headersTimeout: timeoutMs,
    });
  }
}
