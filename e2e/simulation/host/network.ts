import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http";
import { isIP } from "node:net";
import { Belonging, type SimProcess } from "./process.ts";

/** A message that is about to leave: between which two, and what it is. A server that dies hangs up. */
export type Journey = Readonly<{
  client: SimProcess;
  clientIp: string;
  server: Address;
  what: "request" | "answer" | "hangup";
}>;

/** What becomes of a message. A `cut` answer breaks off after so many bytes of its body. */
export type Fate =
  | Readonly<{ kind: "arrives"; afterMs: number }>
  | Readonly<{ kind: "refused" | "reset"; afterMs: number }>
  | Readonly<{ kind: "lost" }>
  | Readonly<{ kind: "cut"; afterMs: number; bytes: number; next: "reset" | "silence" }>;

export type Address = Readonly<{ ip: string; port: number }>;

/** A request as it reaches a server: whole. */
export type AskedRequest = Readonly<{ method: string; path: string; headers: IncomingHttpHeaders; body: Buffer }>;

/** An answer as it leaves a server: whole. */
export type GivenAnswer = Readonly<{ status: number; headers: OutgoingHttpHeaders; body: Buffer }>;

/** What a client is told, each in an event of its own process. */
export type Asker = Readonly<{
  begins: (status: number, headers: IncomingHttpHeaders) => void;
  brings: (bytes: Buffer) => void;
  ends: () => void;
  fails: (error: NetworkError) => void;
}>;

/** Who listens at an address. `take` is called in an event of the process; `gone()` is aborted when the client has given up. */
export type Listener = Readonly<{
  process: SimProcess;
  take: (asked: AskedRequest, answer: (given: GivenAnswer | "reset") => void, gone: () => AbortSignal) => void;
}>;

/** A connection that failed, with the code by which Node's own errors are told. */
export class NetworkError extends Error {
  override readonly name = "Error";
  readonly code: "ENOTFOUND" | "ECONNREFUSED" | "ECONNRESET" | "EADDRINUSE";
  readonly address: string;
  readonly port: number;

  constructor(code: NetworkError["code"], message: string, { ip, port }: Address) {
    super(message);
    this.code = code;
    this.address = ip;
    this.port = port;
  }
}

/** How a process is reached. */
export const interfaces = new Belonging<Readonly<{ network: Network; ip: string }>>("the network");

/**
 * Requests and answers between processes, each an event of its receiver. A message may be late, lost, refused or reset
 * as the plan has it; by itself everything arrives at once. Processes with one address are containers of one pod.
 */
export class Network {
  readonly #fate: (journey: Journey) => Fate;
  readonly #listeners = new Map<string, Listener>();
  readonly #names = new Map<string, string>();
  #lastPort = 32_767;

  constructor(fate: (journey: Journey) => Fate = () => ({ kind: "arrives", afterMs: 0 })) {
    this.#fate = fate;
  }

  /** Gives the process an address, under which it asks and listens. */
  join(process: SimProcess, ip: string): void {
    interfaces.give(process, { network: this, ip });
  }

  /** Listens under an address of the process's own until it ends; port 0 means any. Returns the address and how to stop. */
  listen(port: number, listener: Listener): Readonly<{ address: Address; stop: () => void }> {
    const { ip } = interfaces.of(listener.process);
    if (port === 0) this.#lastPort += 1;
    const address = { ip, port: port === 0 ? this.#lastPort : port };
    const key = keyOf(address);
    if (this.#listeners.has(key)) {
      throw new NetworkError("EADDRINUSE", `listen EADDRINUSE: address already in use ${key}`, address);
    }
    this.#listeners.set(key, listener);
    const stop = () => {
      if (this.#listeners.get(key) === listener) this.#listeners.delete(key);
    };
    listener.process.atEnd(stop);
    return { address, stop };
  }

  /** Makes a name lead to an address; names that lead nowhere are not found. */
  name(host: string, ip: string): void {
    this.#names.set(host, ip);
  }

  /** Sends a request on behalf of a process; returns how to give it up. */
  ask(client: SimProcess, to: Readonly<{ host: string; port: number }>, asked: AskedRequest, asker: Asker): () => void {
    if (client.state === "dead") return () => {};
    const ip = isIP(to.host) === 0 ? this.#names.get(to.host) : to.host;
    const server = { ip: ip ?? to.host, port: to.port };
    const exchange = new Exchange(client, server, asker);
    const fate = this.#fateOf(exchange, "request");
    client.note(`asks ${asked.method} ${keyOf(server)}${asked.path}: ${fate.kind}`);
    const listener = this.#listeners.get(keyOf(server));
    if (ip === undefined) exchange.fail("ENOTFOUND", 0);
    else if (fate.kind === "reset" || fate.kind === "cut") exchange.fail("ECONNRESET", fate.afterMs);
    else if (fate.kind === "refused") exchange.fail("ECONNREFUSED", fate.afterMs);
    else if (fate.kind === "arrives" && listener === undefined) exchange.fail("ECONNREFUSED", fate.afterMs);
    else if (fate.kind === "arrives" && listener !== undefined) this.#carry(exchange, { listener, asked, ...fate });
    return () => exchange.giveUp();
  }

  #carry(
    exchange: Exchange,
    { listener, asked, afterMs }: { listener: Listener; asked: AskedRequest; afterMs: number },
  ) {
    const { process } = listener;
    const answer = (given: GivenAnswer | "reset") => {
      if (given === "reset") this.#hangUp(exchange);
      else this.#bring(exchange, asked, given);
    };
    exchange.reach(process, () => this.#hangUp(exchange));
    process.scheduler.after(process, afterMs, () => {
      if (this.#listeners.get(keyOf(exchange.server)) === listener) listener.take(asked, answer, () => exchange.gone);
      else exchange.fail("ECONNREFUSED", 0);
    });
  }

  #bring(exchange: Exchange, asked: AskedRequest, given: GivenAnswer): void {
    const fate = this.#fateOf(exchange, "answer");
    const next = isWhole(asked, given) ? "end" : "reset";
    if (fate.kind === "lost") exchange.lose();
    else if (fate.kind === "arrives") exchange.bring(given, { ...fate, bytes: given.body.length, next });
    else if (fate.kind === "cut") exchange.bring(given, fate);
    else exchange.fail("ECONNRESET", fate.afterMs);
  }

  #hangUp(exchange: Exchange): void {
    const fate = this.#fateOf(exchange, "hangup");
    if (fate.kind === "lost") exchange.lose();
    else exchange.fail("ECONNRESET", fate.afterMs);
  }

  #fateOf({ client, server }: Exchange, what: Journey["what"]): Fate {
    return this.#fate({ client, clientIp: interfaces.of(client).ip, server, what });
  }
}

/** One request and its answer; the client is told once how it ends, if at all. */
class Exchange {
  readonly client: SimProcess;
  readonly server: Address;
  readonly #asker: Asker;
  #gone: AbortController | null = null;
  #reached: SimProcess | null = null;
  #unbind: () => void = () => {};
  #state: "asked" | "answered" | "over" = "asked";

  constructor(client: SimProcess, server: Address, asker: Asker) {
    this.client = client;
    this.server = server;
    this.#asker = asker;
  }

  /** Aborted, in an event of the server, when the client has given up or died before the answer. */
  get gone(): AbortSignal {
    this.#gone ??= new AbortController();
    return this.#gone.signal;
  }

  /** The request is on its way to a server that may die, from a client that may. */
  reach(process: SimProcess, hangUp: () => void): void {
    this.#reached = process;
    const unbinds = [process.atEnd(hangUp), this.client.atEnd(() => this.giveUp())];
    this.#unbind = () => {
      for (const unbind of unbinds) unbind();
    };
  }

  giveUp(): void {
    const server = this.#state === "asked" ? this.#reached : null;
    this.#leave("over");
    if (server !== null) server.scheduler.after(server, 0, () => this.#gone?.abort());
  }

  /** The answer is lost, and nobody says so. */
  lose(): void {
    if (this.#state === "asked") this.#leave("answered");
  }

  fail(code: "ENOTFOUND" | "ECONNREFUSED" | "ECONNRESET", afterMs: number): void {
    this.#tell(afterMs, () => this.#asker.fails(failure(code, this.server)));
  }

  bring(
    { status, headers, body }: GivenAnswer,
    { afterMs, bytes, next }: { afterMs: number; bytes: number; next: "end" | "reset" | "silence" },
  ): void {
    this.#tell(afterMs, () => {
      this.#asker.begins(status, asReceived(headers));
      if (bytes > 0 && body.length > 0) this.#asker.brings(body.subarray(0, bytes));
      if (next === "end") this.#asker.ends();
      if (next === "reset") this.#asker.fails(failure("ECONNRESET", this.server));
    });
  }

  #tell(afterMs: number, run: () => void): void {
    if (this.#state !== "asked") return;
    this.#leave("answered");
    this.client.scheduler.after(this.client, afterMs, () => {
      if (this.#state !== "over") run();
    });
  }

  #leave(state: "answered" | "over"): void {
    this.#state = state;
    this.#unbind();
  }
}

function keyOf({ ip, port }: Address): string {
  return `${ip}:${port}`;
}

function failure(code: "ENOTFOUND" | "ECONNREFUSED" | "ECONNRESET", server: Address): NetworkError {
  const message = {
    ENOTFOUND: `getaddrinfo ENOTFOUND ${server.ip}`,
    ECONNREFUSED: `connect ECONNREFUSED ${keyOf(server)}`,
    ECONNRESET: "socket hang up",
  };
  return new NetworkError(code, message[code], server);
}

/** Whether the body is as long as the headers say; a client takes no shorter one, but waits until its connection is gone. */
function isWhole({ method }: AskedRequest, { status, headers, body }: GivenAnswer): boolean {
  if (method === "HEAD" || status === 204 || status === 304) return true;
  return body.length >= Number(asReceived(headers)["content-length"] ?? 0);
}

/** Header names in lower case and values as text, as a parser would give them. */
export function asReceived(headers: OutgoingHttpHeaders): IncomingHttpHeaders {
  const entries = Object.entries(headers).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([name, value]) => [name.toLowerCase(), String(value)]));
}
