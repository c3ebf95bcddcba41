import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Dispatcher } from "undici";
import type { Credentials } from "../src/kubernetes/credentials.ts";
import { type ActiveRule, type Fault, FaultRules, type PickedFault, type Rule, type Seen } from "./fault-rules.ts";
import { type OpenWatch, openWatch } from "./open-watch.ts";
import type { LoggedRequest } from "./request-log.ts";

export type { Fault, Seen } from "./fault-rules.ts";
export type { OpenWatch } from "./open-watch.ts";

/** How the proxy speaks to the server. */
export type FaultProxyOptions = Readonly<{
  /**
   * Who the server hears: `Own` is whom the upstream's credentials name; `Client` is whom the client's bearer token
   * names, which takes an upstream without a certificate, since a certificate would go first.
   */
  authorization: "Own" | "Client";
}>;

/**
 * A server on loopback that passes everything on to a real API server, and breaks what it is told to break.
 * It speaks plain HTTP to its clients, so that it can read and change what passes.
 */
export class FaultProxy {
  readonly #upstream: Pick<Credentials, "current">;
  readonly #options: FaultProxyOptions;
  readonly #server: Server;
  readonly #rules = new FaultRules();
  readonly #watches = new Set<OpenWatch>();
  readonly #log: OpenRequest[] = [];
  readonly #stopped = new AbortController();
  #directory = "";
  /** Every request that came, in order. */
  readonly seen: Seen[] = [];
  /** Every request that the server answered, in order. */
  readonly answered: (Seen & Readonly<{ status: number }>)[] = [];
  #isCut = false;

  constructor(upstream: Pick<Credentials, "current">, options: FaultProxyOptions = { authorization: "Own" }) {
    this.#upstream = upstream;
    this.#options = options;
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  /** Listens, and writes a kubeconfig that leads to it; `user` is the kubeconfig's. */
  async start(user: Readonly<Record<string, string>> = {}): Promise<string> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    const { port } = this.#server.address() as AddressInfo;
    this.#directory = await mkdtemp(join(tmpdir(), "trainingrun-fault-proxy-"));
    const path = join(this.#directory, "kubeconfig");
    const name = "proxy";
    const config = {
      apiVersion: "v1",
      kind: "Config",
      "current-context": name,
      contexts: [{ name, context: { cluster: name, user: name } }],
      clusters: [{ name, cluster: { server: `http://127.0.0.1:${port}`, "insecure-skip-tls-verify": true } }],
      users: [{ name, user }],
    };
    await writeFile(path, JSON.stringify(config));
    return path;
  }

  /** Breaks every connection; what is held back is lost. */
  async stop(): Promise<void> {
    this.#stopped.abort(new Error("the proxy has stopped"));
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Puts a fault in force for the requests that come from now on. An earlier rule goes before a later one. */
  add(rule: Rule): ActiveRule {
    return this.#rules.add(rule);
  }

  /** Breaks the next requests that match. */
  fail(matches: (seen: Seen) => boolean, fault: Fault, times = 1): ActiveRule {
    return this.add({ matches, fault, times });
  }

  /** Lets nothing through any more, neither requests nor what open watches say. What is to arrive late still does. */
  cut(): void {
    this.#isCut = true;
    this.#server.closeAllConnections();
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Removes every rule; open watches go on as they are. */
  heal(): void {
    this.#rules.clear();
  }

  /** The watches open now whose path contains the text. */
  watches(text: string): readonly OpenWatch[] {
    return [...this.#watches].filter((watch) => watch.path.includes(text));
  }

  /** Every request that came, in order, with what became of it. Entries change until they have ended. */
  get log(): readonly LoggedRequest[] {
    return this.#log;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    const seen = { method: request.method ?? "GET", path, isWatch: path.includes("watch=true") };
    const entry: OpenRequest = { ...seen, atMs: performance.now(), endedAtMs: undefined, status: undefined, bytes: 0 };
    this.seen.push(seen);
    this.#log.push(entry);
    const gone = new AbortController();
    response.once("close", () => {
      entry.endedAtMs = performance.now();
      gone.abort(new Error("the client is gone"));
    });
    const picked = this.#rules.pick(seen);
    try {
      await this.#pass({ request, response, seen, entry, picked, gone: gone.signal });
    } catch (error) {
      // Whatever broke, the client sees what a broken network shows.
      if (!(error instanceof ConnectionCut)) response.socket?.resetAndDestroy();
    }
  }

  async #pass(exchange: Exchange): Promise<void> {
    const { request, response, entry, picked, gone } = exchange;
    const fault = picked?.fault;
    if (fault?.kind === "Stall") return;
    if (fault?.kind === "Reset" || this.#isCut) {
      response.socket?.resetAndDestroy();
      return;
    }
    if (fault?.kind === "Answer") {
      entry.status = fault.status;
      response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
      response.end(fault.body === undefined ? "" : JSON.stringify(fault.body));
      return;
    }
    const body = await bytesOf(request);
    if (fault?.kind === "ArriveLate") {
      response.socket?.resetAndDestroy();
      await picked?.released.passed(this.#stopped.signal);
      await (await this.#ask(exchange, body, this.#stopped.signal)).body.dump();
      return;
    }
    if (fault?.kind === "Hold" && fault.what === "Request") await picked?.released.passed(gone);
    const answer = await this.#ask(exchange, body, gone);
    if (fault?.kind === "LoseAnswer" || fault?.kind === "LoseAnswerForGood") {
      await answer.body.dump();
      if (fault.kind === "LoseAnswerForGood") this.cut();
      else response.socket?.resetAndDestroy();
      return;
    }
    if (fault?.kind === "Hold") await picked?.released.passed(gone);
    await this.#passBack(exchange, answer);
  }

  async #ask({ request, seen }: Exchange, body: Buffer, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { server, headers, dispatcher } = await this.#upstream.current();
    const { authorization, ...rest } = withoutFraming(request.headers);
    const isTheirs = this.#options.authorization === "Client" && authorization !== undefined;
    const answer = await dispatcher.request({
      origin: server,
      path: seen.path,
      method: seen.method as "GET",
      headers: { ...rest, ...headers, ...(isTheirs ? { authorization } : {}) },
      body: body.length === 0 ? null : body,
      signal,
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    this.answered.push({ ...seen, status: answer.statusCode });
    return answer;
  }

  async #passBack(exchange: Exchange, answer: Dispatcher.ResponseData): Promise<void> {
    const { response, seen, entry, picked, gone } = exchange;
    const fault = picked?.fault;
    const length = fault?.kind === "GarbleBody" ? undefined : answer.headers["content-length"];
    entry.status = answer.statusCode;
    response.writeHead(answer.statusCode, {
      ...withoutFraming(answer.headers),
      ...(length === undefined ? {} : { "content-length": String(length) }),
    });
    response.flushHeaders();
    const isStalled = seen.isWatch && answer.statusCode === 200 ? this.#open(seen.path, response) : () => false;
    for await (const part of faulty(answer.body as AsyncIterable<Buffer>, { fault, seen, response, gone })) {
      if (isStalled()) continue;
      entry.bytes += part.length;
      if (!response.write(part)) await once(response, "drain", { signal: gone });
    }
    if (!isStalled()) response.end();
  }

  #open(path: string, response: ServerResponse): () => boolean {
    const { watch, isStalled } = openWatch(path, response);
    this.#watches.add(watch);
    response.once("close", () => this.#watches.delete(watch));
    return isStalled;
  }
}

type OpenRequest = { -readonly [Field in keyof LoggedRequest]: LoggedRequest[Field] };

type Exchange = Readonly<{
  request: IncomingMessage;
  response: ServerResponse;
  seen: Seen;
  entry: OpenRequest;
  picked: PickedFault | undefined;
  gone: AbortSignal;
}>;

type Headers = Readonly<Record<string, string | string[] | undefined>>;

/** What belongs to one connection or to the length of one body, and is said anew on the other side. */
const framing = new Set(["host", "connection", "keep-alive", "transfer-encoding", "content-length", "accept-encoding"]);

function withoutFraming(headers: Headers): Record<string, string | string[]> {
  const kept: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value !== undefined && !framing.has(name.toLowerCase())) kept[name] = value;
  }
  return kept;
}

async function bytesOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

type Way = Readonly<{ fault: Fault | undefined; seen: Seen; response: ServerResponse; gone: AbortSignal }>;

/** The body as it goes on, with its fault. */
async function* faulty(body: AsyncIterable<Buffer>, { fault, seen, response, gone }: Way): AsyncGenerator<Buffer> {
  if (fault?.kind === "GarbleBody") {
    if (seen.isWatch) for await (const piece of body) yield Buffer.from(fault.change(piece.toString()));
    else yield Buffer.from(fault.change(Buffer.concat(await Array.fromAsync(body)).toString()));
    return;
  }
  let left = fault?.kind === "CutBody" || fault?.kind === "StallBody" ? fault.afterBytes : Number.POSITIVE_INFINITY;
  for await (const piece of body) {
    if (piece.length <= left) {
      left -= piece.length;
      yield piece;
      continue;
    }
    yield piece.subarray(0, left);
    if (fault?.kind === "StallBody") await once(gone, "abort");
    response.socket?.destroySoon();
    throw new ConnectionCut(`the connection was cut within the answer to ${seen.method} ${seen.path}`);
  }
}

/** The connection has ended on purpose, after what was passed on: a reset would take that back. */
class ConnectionCut extends Error {
  override readonly name = "ConnectionCut";
}
