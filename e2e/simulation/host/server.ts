import { AsyncLocalStorage } from "node:async_hooks";
import http, { type OutgoingHttpHeaders, type RequestListener, type ServerOptions } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { type Address, type AskedRequest, type GivenAnswer, interfaces } from "./network.ts";
import type { SimProcess } from "./process.ts";

type Answer = (given: GivenAnswer | "reset") => void;

/**
 * Node's own HTTP server with its listeners and message objects, but for what lies below them: requests come whole from
 * the simulated network, and no socket is opened.
 */
export class SimServer extends http.Server {
  readonly #process: SimProcess;
  readonly #open = new Set<Answer>();
  #isClosing = false;
  #bound: Readonly<{ address: Address; stop: () => void }> | null = null;

  constructor(process: SimProcess, options: ServerOptions, listener: RequestListener | undefined) {
    super(options, listener);
    this.#process = process;
    // Node's own listener would begin a timer of the real machine that looks for idle connections.
    this.removeAllListeners("listening");
  }

  override listen(...args: unknown[]): this {
    const [first] = args;
    const callback = args.findLast((argument) => typeof argument === "function");
    if (callback !== undefined) this.once("listening", () => callback());
    const port = typeof first === "object" && first !== null && "port" in first ? first.port : first;
    const take = AsyncLocalStorage.bind(this.#take.bind(this));
    try {
      this.#bound = interfaces.of(this.#process).network.listen(Number(port ?? 0), { process: this.#process, take });
      process.nextTick(() => this.emit("listening"));
    } catch (error) {
      process.nextTick(() => this.emit("error", error));
    }
    return this;
  }

  override address(): AddressInfo | null {
    if (this.#bound === null) return null;
    const { ip, port } = this.#bound.address;
    return { address: ip, port, family: ip.includes(":") ? "IPv6" : "IPv4" };
  }

  override close(callback?: (error?: Error) => void): this {
    const bound = this.#bound;
    if (callback !== undefined) {
      const error = bound === null ? new Error("Cannot close a server that does not listen") : undefined;
      this.once("close", () => callback(error));
    }
    this.#bound = null;
    this.#isClosing = true;
    bound?.stop();
    this.#closeWhenIdle();
    return this;
  }

  override closeAllConnections(): void {
    for (const answer of this.#open) answer("reset");
    this.#open.clear();
    this.#closeWhenIdle();
  }

  override closeIdleConnections(): void {
    // Connections are not kept between requests.
  }

  #take(asked: AskedRequest, answer: Answer, gone: () => AbortSignal): void {
    const request = requestOf(asked);
    this.#open.add(answer);
    const response = new SimResponse(request, (given) => {
      if (this.#open.delete(answer)) answer(given);
      this.#closeWhenIdle();
    });
    gone().addEventListener("abort", () => {
      this.#open.delete(answer);
      request.destroy();
      response.emit("close");
      this.#closeWhenIdle();
    });
    this.emit("request", request, response);
  }

  #closeWhenIdle(): void {
    if (!this.#isClosing || this.#open.size > 0) return;
    this.#isClosing = false;
    process.nextTick(() => this.emit("close"));
  }
}

/** A request as a listener sees it, whole and without a socket. */
function requestOf({ method, path, headers, body }: AskedRequest): http.IncomingMessage {
  const request = new http.IncomingMessage(noSocket);
  request.method = method;
  request.url = path;
  request.headers = headers;
  request.httpVersion = "1.1";
  request.complete = true;
  if (body.length > 0) request.push(body);
  request.push(null);
  return request;
}

/** All that a message of Node asks of its socket: that there is nothing more to read from it, and nothing to close. */
export const noSocket = Object.freeze({ readable: false, destroyed: true }) as unknown as Socket;

/** An answer that is gathered instead of being written to a socket, and given when it is whole. */
class SimResponse extends http.ServerResponse {
  readonly #give: (given: GivenAnswer) => void;
  readonly #pieces: Buffer[] = [];

  constructor(request: http.IncomingMessage, give: (given: GivenAnswer) => void) {
    super(request);
    this.#give = give;
  }

  override writeHead(status: number, ...rest: unknown[]): this {
    this.statusCode = status;
    const headers = rest.find((argument) => typeof argument === "object" && argument !== null);
    // What Node itself allows here: names and values.
    for (const [name, value] of Object.entries((headers ?? {}) as OutgoingHttpHeaders)) {
      if (value !== undefined) this.setHeader(name, value);
    }
    return this;
  }

  override write(chunk: unknown): boolean {
    this.#pieces.push(typeof chunk === "string" ? Buffer.from(chunk) : Buffer.from(chunk as Uint8Array));
    return true;
  }

  override end(chunk?: unknown): this {
    if (this.finished) return this;
    if (typeof chunk === "string" || chunk instanceof Uint8Array) this.write(chunk);
    this.finished = true;
    const body = this.req.method === "HEAD" ? Buffer.alloc(0) : Buffer.concat(this.#pieces);
    this.#give({ status: this.statusCode, headers: this.getHeaders(), body });
    process.nextTick(() => {
      this.emit("finish");
      this.emit("close");
    });
    return this;
  }
}
