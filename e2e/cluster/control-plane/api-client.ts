import { Credentials } from "@trainingrun/operator/kubernetes/credentials.ts";
import { type Dispatcher, request } from "undici";
import { z } from "zod";
import { ApiRefused, ApiUnreachable } from "./api-error.ts";

/** One request. */
export interface ApiRequest {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** How the body of a PATCH is meant; `merge` when nothing is said. */
  readonly patch?: "merge" | "strategic-merge";
  /** Ends the wait for an answer, besides the limit that every request has. */
  readonly signal?: AbortSignal | undefined;
}

/** An answer: its status code and its body, read as JSON where it is JSON. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** What every request passes before it is sent: closed for a node that is frozen. */
export interface Passage {
  pass(): Promise<void>;
}

const answerTimeoutMs = 15_000;
const watchIdleMs = 360_000;

/**
 * A client for the current context of a kubeconfig, whatever its user is known by: a certificate, a token, a file that
 * holds one, a password, a program.
 *
 * @throws {Error} when the kubeconfig cannot be read or used.
 */
export async function createApiClient(kubeconfigPath: string, passage: Passage = open): Promise<ApiClient> {
  const credentials = new Credentials({ kind: "Kubeconfig", path: kubeconfigPath });
  const { server } = await credentials.current();
  return new ApiClient(server, credentials, passage);
}

/** Asks one API server as one user over a few pooled connections. */
export class ApiClient {
  /** The API server's address, as in the kubeconfig. */
  readonly server: string;
  readonly #credentials: Credentials;
  readonly #passage: Passage;

  constructor(server: string, credentials: Credentials, passage: Passage) {
    this.server = server;
    this.#credentials = credentials;
    this.#passage = passage;
  }

  /** Sends a request and returns every answer, error answers too. @throws {ApiUnreachable} when none comes. */
  request(method: ApiRequest["method"], path: string, body?: unknown): Promise<ApiAnswer> {
    return this.#ask({ method, path, body });
  }

  /** Sends a request and returns the answer's body. @throws {ApiRefused} for an answer that is not 2xx. */
  expect(method: ApiRequest["method"], path: string, body?: unknown): Promise<unknown> {
    return this.call({ method, path, body });
  }

  /** Like `expect`, for a request of which there is more to say. */
  async call(call: ApiRequest): Promise<unknown> {
    const { status, body } = await this.#ask(call);
    if (status > 299) throw new ApiRefused(`${call.method} ${call.path}`, status, body);
    return body;
  }

  /**
   * The lines of an endless answer, as they come, until it ends in good order or `signal` ends it.
   *
   * @throws {ApiUnreachable} when it breaks off. @throws {ApiRefused} when it never begins.
   */
  async *lines(path: string, query: Readonly<Record<string, string>>, signal: AbortSignal): AsyncGenerator<string> {
    const call = { method: "GET", path, query, signal } as const;
    try {
      const response = await this.#send(call, signal);
      if (response.statusCode > 299) throw new ApiRefused(`GET ${path}`, response.statusCode, await readBody(response));
      let rest = "";
      response.body.setEncoding("utf8");
      for await (const chunk of response.body) {
        const lines = (rest + String(chunk)).split("\n");
        rest = lines.pop() ?? "";
        yield* lines.filter((line) => line !== "");
      }
      if (rest !== "") throw new Error(`it ended inside a line: ${rest.slice(0, 80)}`);
    } catch (error) {
      if (signal.aborted) return;
      throw error instanceof ApiRefused ? error : new ApiUnreachable(call, error);
    }
  }

  /** Closes the connections; requests under way fail. */
  async close(): Promise<void> {
    await this.#credentials.close();
  }

  async #ask(call: ApiRequest): Promise<ApiAnswer> {
    const limit = AbortSignal.timeout(answerTimeoutMs);
    try {
      const signal = call.signal === undefined ? limit : AbortSignal.any([limit, call.signal]);
      const response = await this.#send(call, signal);
      return { status: response.statusCode, body: await readBody(response) };
    } catch (error) {
      throw new ApiUnreachable(call, error);
    }
  }

  async #send(call: ApiRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    await this.#passage.pass();
    const { server, headers, dispatcher } = await this.#credentials.current();
    const query = call.query === undefined ? "" : `?${new URLSearchParams(call.query)}`;
    const response = await request(`${server}${call.path}${query}`, {
      method: call.method,
      dispatcher,
      headers: { ...headers, accept: "application/json", "content-type": contentType(call) },
      body: call.body === undefined ? null : JSON.stringify(call.body),
      signal,
      bodyTimeout: watchIdleMs,
      headersTimeout: answerTimeoutMs,
    });
    if (response.statusCode === 401) this.#credentials.expire();
    return response;
  }
}

const open: Passage = { pass: async () => {} };

function contentType({ method, patch = "merge" }: ApiRequest): string {
  return method === "PATCH" ? `application/${patch}-patch+json` : "application/json";
}

async function readBody({ headers, body }: Dispatcher.ResponseData): Promise<unknown> {
  const text = await body.text();
  const type = z.string().default("application/json").parse(headers["content-type"]);
  return type.startsWith("application/json") ? JSON.parse(text) : text;
}
