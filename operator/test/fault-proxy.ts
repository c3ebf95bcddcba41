import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Credentials } from "../src/kubernetes/credentials.ts";

/** What is done to one request instead of passing it on. */
export type Fault =
  /** Answered by the proxy; the server never sees it. */
  | Readonly<{ kind: "Answer"; status: number; headers?: Readonly<Record<string, string>>; body?: unknown }>
  /** The connection is reset before the server sees the request. */
  | Readonly<{ kind: "Reset" }>
  /** The connection is taken and nothing is ever said. */
  | Readonly<{ kind: "Stall" }>
  /** The server acts, and its answer is lost on the way. */
  | Readonly<{ kind: "LoseAnswer" }>
  /** As `LoseAnswer`, and nothing gets through after it: what a client sees of its own sudden death. */
  | Readonly<{ kind: "LoseAnswerForGood" }>;

/** A request as the proxy sees it. */
export type Seen = Readonly<{ method: string; path: string; isWatch: boolean }>;

/** One open watch, and what can be done to it. */
export type OpenWatch = Readonly<{
  path: string;
  /** Ends it as a server does, between two lines. */
  end: () => void;
  /** Cuts the connection. */
  reset: () => void;
  /** Passes nothing on from now, and keeps the connection open. */
  stall: () => void;
  /** Sends half a line, then ends. */
  truncate: () => void;
  /** Sends a line that is no JSON; what follows is passed on as if nothing had been lost. */
  garble: () => void;
  /** Sends a line of our own. */
  say: (line: unknown) => void;
}>;

/**
 * A server on loopback that passes everything on to a real API server, and breaks what it is told to break.
 * It speaks plain HTTP to its clients, so that it can read and change what passes.
 */
export class FaultProxy {
  readonly #upstream: Credentials;
  readonly #server: Server;
  readonly #faults: { matches: (seen: Seen) => boolean; fault: Fault; times: number }[] = [];
  readonly #watches = new Set<OpenWatch>();
  #directory = "";
  /** Every request that came, in order. */
  readonly seen: Seen[] = [];
  /** Every request that the server answered, in order. */
  readonly answered: (Seen & Readonly<{ status: number }>)[] = [];
  #isCut = false;

  constructor(upstream: Credentials) {
    this.#upstream = upstream;
    this.#server = createServer((request, response) => void this.#pass(request, response));
  }

  /** Listens, and writes a kubeconfig that leads to it. */
  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
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
      users: [{ name, user: {} }],
    };
    await writeFile(path, JSON.stringify(config));
    return path;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Breaks the next requests that match. */
  fail(matches: (seen: Seen) => boolean, fault: Fault, times = 1): void {
    this.#faults.push({ matches, fault, times });
  }

  /** Lets nothing through any more, neither requests nor what open watches say. */
  cut(): void {
    this.#isCut = true;
    this.#server.closeAllConnections();
  }

  get isCut(): boolean {
    return this.#isCut;
  }

  /** Breaks nothing any more; open watches go on as they are. */
  heal(): void {
    this.#faults.length = 0;
  }

  /** The watches open now whose path contains the text. */
  watches(text: string): readonly OpenWatch[] {
    return [...this.#watches].filter((watch) => watch.path.includes(text));
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    const seen = { method: request.method ?? "GET", path, isWatch: path.includes("watch=true") };
    this.seen.push(seen);
    const fault = this.#takeFault(seen);
    if (fault?.kind === "Stall") return;
    if (fault?.kind === "Reset" || this.#isCut) {
      response.socket?.resetAndDestroy();
      return;
    }
    if (fault?.kind === "Answer") {
      response.writeHead(fault.status, { "content-type": "application/json", ...fault.headers });
      response.end(fault.body === undefined ? "" : JSON.stringify(fault.body));
      return;
    }
    try {
      await this.#forward(request, response, { seen, fault });
    } catch {
      response.socket?.resetAndDestroy();
    }
  }

  #takeFault(seen: Seen): Fault | undefined {
    const index = this.#faults.findIndex((fault) => fault.matches(seen));
    const found = this.#faults[index];
    if (found === undefined) return undefined;
    found.times -= 1;
    if (found.times === 0) this.#faults.splice(index, 1);
    return found.fault;
  }

  async #forward(
    request: IncomingMessage,
    response: ServerResponse,
    how: { seen: Seen; fault: Fault | undefined },
  ): Promise<void> {
    const { server, headers, dispatcher } = await this.#upstream.current();
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const closed = new AbortController();
    response.on("close", () => closed.abort());
    const contentType = request.headers["content-type"];
    const answer = await dispatcher.request({
      origin: server,
      path: how.seen.path,
      method: how.seen.method as "GET",
      headers: {
        ...headers,
        accept: "application/json",
        ...(contentType === undefined ? {} : { "content-type": contentType }),
      },
      body: chunks.length === 0 ? null : Buffer.concat(chunks),
      signal: closed.signal,
      bodyTimeout: 0,
    });
    this.answered.push({ ...how.seen, status: answer.statusCode });
    if (how.fault !== undefined) {
      await answer.body.dump();
      if (how.fault.kind === "LoseAnswerForGood") this.cut();
      else response.socket?.resetAndDestroy();
      return;
    }
    response.writeHead(answer.statusCode, { "content-type": String(answer.headers["content-type"]) });
    response.flushHeaders();
    const open = how.seen.isWatch && answer.statusCode === 200 ? this.#open(how.seen.path, response) : undefined;
    for await (const chunk of answer.body) {
      if (open === undefined || !open.isStalled()) response.write(chunk);
    }
    if (open === undefined || !open.isStalled()) response.end();
  }

  #open(path: string, response: ServerResponse): { isStalled: () => boolean } {
    let stalled = false;
    const line = `${JSON.stringify({ type: "MODIFIED", object: { metadata: { name: "cut-off" } } })}`;
    const watch: OpenWatch = {
      path,
      end: () => response.end(),
      reset: () => response.socket?.resetAndDestroy(),
      stall: () => {
        stalled = true;
      },
      truncate: () => {
        stalled = true;
        response.end(line.slice(0, 40));
      },
      garble: () => response.write(`${line.slice(0, 40)}\n`),
      say: (said) => response.write(`${JSON.stringify(said)}\n`),
    };
    this.#watches.add(watch);
    response.on("close", () => this.#watches.delete(watch));
    return { isStalled: () => stalled };
  }
}
