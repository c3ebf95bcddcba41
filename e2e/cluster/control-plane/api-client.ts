import { readFile } from "node:fs/promises";
import { Agent, type Dispatcher, request } from "undici";
import { parse } from "yaml";
import { z } from "zod";

/** No answer came from the API server: it is not there, or the connection broke. The request may or may not have been done. */
export class ApiUnreachable extends Error {
  override readonly name = "ApiUnreachable";
}

/** The API server answered a request with an error. */
export class ApiRefused extends Error {
  override readonly name = "ApiRefused";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** An answer: its status code and its body, read as JSON where it is JSON. */
export interface ApiAnswer {
  readonly status: number;
  readonly body: unknown;
}

/** Asks one API server as one user over a few pooled connections. */
export interface ApiClient {
  /** Returns every answer, error answers too. @throws {ApiUnreachable} when none comes. */
  request(method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<ApiAnswer>;
  /** Like `request`, but any answer that is not 2xx is thrown as {@link ApiRefused}. */
  expect(method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE", path: string, body?: unknown): Promise<unknown>;
  /** Yields the lines of a watch until it ends, breaks (also without an error) or `signal` aborts it. */
  watch(path: string, signal: AbortSignal): AsyncGenerator<string>;
  close(): Promise<void>;
}

const text = z.string();
const clusterSchema = z.object({
  server: z.url(),
  "certificate-authority": text.optional(),
  "certificate-authority-data": text.optional(),
});
const userSchema = z.object({
  "client-certificate": text.optional(),
  "client-certificate-data": text.optional(),
  "client-key": text.optional(),
  "client-key-data": text.optional(),
});
const kubeconfigSchema = z.object({
  clusters: z.tuple([z.object({ cluster: clusterSchema })]),
  users: z.tuple([z.object({ user: userSchema })]),
});
const statusSchema = z.object({ message: z.string() });
const answerTimeoutMs = 15_000;

/** A client for a kubeconfig as local clusters have them: one context, and a user known by a certificate. */
export async function createApiClient(kubeconfigPath: string): Promise<ApiClient> {
  const config = kubeconfigSchema.parse(parse(await readFile(kubeconfigPath, "utf8")));
  const { cluster } = config.clusters[0];
  const { user } = config.users[0];
  const [ca, cert, key] = await Promise.all([
    readPem(cluster["certificate-authority"], cluster["certificate-authority-data"]),
    readPem(user["client-certificate"], user["client-certificate-data"]),
    readPem(user["client-key"], user["client-key-data"]),
  ]);
  const dispatcher = new Agent({ connect: { ca, cert, key }, connections: 8, bodyTimeout: 0 });
  const ask: ApiClient["request"] = (method, path, body) =>
    sendRequest({ dispatcher, url: cluster.server + path, method, body });
  return {
    request: ask,
    expect: async (method, path, body) => {
      const answer = await ask(method, path, body);
      if (answer.status >= 200 && answer.status < 300) return answer.body;
      const status = statusSchema.safeParse(answer.body);
      const why = status.success ? status.data.message : String(answer.body);
      throw new ApiRefused(answer.status, `Cannot ${method} ${path}: ${answer.status} ${why}`);
    },
    watch: (path, signal) => watchLines(dispatcher, cluster.server + path, signal),
    close: () => dispatcher.destroy(),
  };
}

async function readPem(path: string | undefined, data: string | undefined): Promise<string> {
  if (path !== undefined) return readFile(path, "utf8");
  return Buffer.from(data ?? "", "base64").toString("utf8");
}

async function sendRequest(what: {
  dispatcher: Agent;
  url: string;
  method: Dispatcher.HttpMethod;
  body: unknown;
}): Promise<ApiAnswer> {
  const type = what.method === "PATCH" ? "application/merge-patch+json" : "application/json";
  try {
    const answer = await request(what.url, {
      dispatcher: what.dispatcher,
      method: what.method,
      headers: { accept: "application/json", "content-type": type },
      body: what.body === undefined ? null : JSON.stringify(what.body),
      signal: AbortSignal.timeout(answerTimeoutMs),
    });
    const text = await answer.body.text();
    const isJson = String(answer.headers["content-type"]).startsWith("application/json");
    return { status: answer.statusCode, body: isJson ? JSON.parse(text) : text };
  } catch (error) {
    throw new ApiUnreachable(`Cannot ${what.method} ${what.url}: no answer`, { cause: error });
  }
}

async function* watchLines(dispatcher: Agent, url: string, signal: AbortSignal): AsyncGenerator<string> {
  try {
    const answer = await request(url, { dispatcher, signal });
    if (answer.statusCode !== 200) return await answer.body.dump();
    let rest = "";
    for await (const chunk of answer.body.setEncoding("utf8")) {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      yield* lines;
    }
  } catch (error) {
    if (signal.aborted) return;
    throw new ApiUnreachable(`Cannot watch ${url}: the connection broke`, { cause: error });
  }
}
