import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Credentials } from "../store-access.ts";
import { type Exchange, reset, serve } from "./exchange.ts";
import { Gate } from "./gate.ts";
import { ListMemory } from "./list-memory.ts";
import { type LoggedRequest, type OpenRequest, openRequest } from "./request-log.ts";
import { type ActiveRule, type Rule, Rules } from "./rules.ts";
import { readS3Request } from "./s3-request.ts";

/** What a proxy stands in front of. */
export interface ProxyOptions {
  /** The store's address: `http://127.0.0.1:9000`. */
  readonly target: string;
  /** The client's keys: needed for `IgnoreConditions` and `IgnoreSums` alone, which must sign what they changed. */
  readonly credentials?: Credentials;
}

/** Starts a proxy on a free port of 127.0.0.1. */
export async function startFaultProxy(options: ProxyOptions): Promise<FaultProxy> {
  const target = new URL(options.target);
  if (target.protocol !== "http:")
    throw new Error(`Cannot put the proxy before ${options.target}: it speaks only http`);
  const proxy = new FaultProxy(target, options.credentials);
  await proxy.listen();
  return proxy;
}

/**
 * A network between a client and a store that breaks where it is told to. Without a rule it changes nothing: clients
 * sign for the proxy's address, and the store reads that address in `Host` as they sent it. One thing is lost as on any
 * network: a store that refuses an upload and hangs up before it has read it may look like a reset.
 */
export class FaultProxy implements AsyncDisposable {
  readonly #target: URL;
  readonly #credentials: Credentials | undefined;
  readonly #server: Server;
  readonly #rules = new Rules();
  readonly #gate = new Gate("Open");
  readonly #lists = new ListMemory();
  readonly #log: OpenRequest[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  readonly #stop = new AbortController();

  constructor(target: URL, credentials: Credentials | undefined) {
    this.#target = target;
    this.#credentials = credentials;
    this.#server = createServer({ requestTimeout: 0, keepAliveTimeout: 0 }, (request, response) => {
      const work = this.#serve(request, response).finally(() => this.#inFlight.delete(work));
      this.#inFlight.add(work);
    });
  }

  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** Where clients reach the store through this proxy. */
  get endpoint(): string {
    const address = this.#server.address();
    if (address === null || typeof address === "string")
      throw new Error("Cannot name the proxy's address: it has stopped");
    return `http://127.0.0.1:${address.port}`;
  }

  /** Every request so far, in the order in which they came. Entries change until they are over. */
  get log(): readonly LoggedRequest[] {
    return this.#log;
  }

  /** Puts a fault in force for the requests that come from now on. An earlier rule goes before a later one. */
  add(rule: Rule): ActiveRule {
    return this.#rules.add(rule);
  }

  /** Removes all rules. */
  clear(): void {
    this.#rules.clear();
  }

  /** From now on not a byte passes in either direction, until `thaw`. What its client gives up meanwhile ends there. */
  freeze(): void {
    this.#gate.shut();
  }

  thaw(): void {
    this.#gate.open();
  }

  /** Resolves when no request is on its way any more. */
  async settled(): Promise<void> {
    while (this.#inFlight.size > 0) await Promise.all(this.#inFlight);
  }

  /** Breaks every connection and lets the port go. */
  async stop(): Promise<void> {
    this.#stop.abort();
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await this.settled();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = request.url ?? "/";
    const asked = readS3Request(request.method ?? "GET", url);
    const picked = this.#rules.pick(asked);
    const entry = openRequest(asked, url, picked?.fault);
    this.#log.push(entry);
    const exchange: Exchange = {
      request,
      socket: request.socket,
      response,
      entry,
      picked,
      target: this.#target,
      credentials: this.#credentials,
      gate: this.#gate,
      lists: this.#lists,
      signal: AbortSignal.any([clientGone(response), this.#stop.signal]),
      stopped: this.#stop.signal,
    };
    try {
      await serve(exchange);
    } catch (error) {
      // Whatever broke, the client sees what a broken network shows: a connection that ends. The log keeps why.
      entry.problem = String(error);
      breakOff(exchange);
    } finally {
      entry.isOver = true;
    }
  }
}

function clientGone(response: ServerResponse): AbortSignal {
  const gone = new AbortController();
  response.once("close", () => {
    if (!response.writableFinished) gone.abort(new Error("The client's connection ended before its reply did"));
  });
  return gone.signal;
}

/** After a reply has begun, its bytes so far stay good: the connection ends, and a reset would take them back. */
function breakOff(exchange: Exchange): void {
  if (!exchange.response.headersSent) {
    reset(exchange);
    return;
  }
  exchange.entry.isAborted = true;
  exchange.socket.destroy();
}
