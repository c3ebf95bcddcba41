import type { Access } from "@trainingrun/operator/kubernetes/credentials.ts";
import type { Dispatcher } from "undici";
import { expired, Refusal } from "./answers.ts";
import { type Answered, type Deliver, Exchange } from "./exchange.ts";
import { type Fault, type Faults, LostConnectionError, type OpenWatch, type Seen } from "./faults.ts";
import type { ModelApi } from "./model-api.ts";
import { answer, refused, routeOf } from "./requests.ts";

/** What stands between a client and the model. */
export type ModelDispatcherOptions = Readonly<{
  api: ModelApi;
  now: () => number;
  faults?: Faults;
  /** Whether the server takes this `authorization`; where it does not, it answers 401. */
  accepts?: (authorization: string | undefined) => boolean;
  /** How a request gets to the server, and what the server says to the client; at once where left out. */
  toServer?: Deliver;
  toClient?: Deliver;
}>;

/** One request as undici's `request` takes it, as far as our clients use it. */
export type ModelRequest = Readonly<{
  path: string;
  method: string;
  headers?: Readonly<Record<string, string | undefined>>;
  body?: string | null;
  signal?: AbortSignal | undefined;
}>;

/** The connection of one client to the model: has the face of undici's dispatcher as far as `request` goes. */
export class ModelDispatcher {
  readonly #options: ModelDispatcherOptions;
  readonly #exchanges = new Set<Exchange>();
  /** Sent, and not at the server yet. */
  readonly #onTheWay = new Set<Exchange>();
  readonly #watches = new Set<OpenWatch>();

  constructor(options: ModelDispatcherOptions) {
    this.#options = options;
  }

  /**
   * Sends a request; resolves with the head of its answer. What was sent gets to the server, though the client may have
   * given it up meanwhile: such a write is done, and nobody hears of it.
   */
  request(request: ModelRequest): Promise<Answered> {
    const { toServer = atOnce, toClient = atOnce } = this.#options;
    const exchange = new Exchange(toClient, request.signal);
    if (!exchange.isOver) {
      this.#exchanges.add(exchange);
      exchange.onLeave(() => this.#exchanges.delete(exchange));
      this.#onTheWay.add(exchange);
      toServer(() => {
        if (this.#onTheWay.delete(exchange)) this.#serve(request, exchange);
      });
    }
    return exchange.answer;
  }

  /** The watches open now whose path contains the text. */
  watches(text = ""): readonly OpenWatch[] {
    return [...this.#watches].filter(({ seen }) => seen.path.includes(text));
  }

  /** Cuts every connection, as a server that is restarted does. What is on its way to the server is lost. */
  cut(): void {
    this.#onTheWay.clear();
    for (const exchange of this.#exchanges) exchange.fail(new LostConnectionError("ECONNRESET"));
  }

  /** Lets go of every connection of a client that is gone without a word. */
  hangUp(): void {
    for (const exchange of this.#exchanges) exchange.hangUp();
  }

  /** As undici's: nothing is left open. */
  async close(): Promise<void> {
    this.cut();
  }

  /** As undici's: requests under way are cut off. */
  async destroy(): Promise<void> {
    this.cut();
  }

  #serve(request: ModelRequest, exchange: Exchange): void {
    const { api, faults = {}, accepts } = this.#options;
    const seen = this.#seen(request);
    const fault = faults.strike?.(seen);
    if (fault !== undefined && this.#isUnseen(fault, exchange)) return;
    if (accepts !== undefined && !accepts(request.headers?.authorization)) {
      send(exchange, refused(new Refusal(401, { reason: "Unauthorized", message: "Unauthorized" })));
      return;
    }
    if (seen.isWatch && seen.target !== undefined) {
      this.#watch(seen, fault, exchange);
      return;
    }
    const { method, path, contentType, body } = seen;
    const at = fault?.kind === "Stale" && method === "GET" ? fault.version : undefined;
    const answered = answer(api, { method, path, contentType, body }, { now: this.#options.now, at });
    faults.answered?.(seen, answered.code);
    if (fault?.kind === "LoseAnswer") exchange.fail(new LostConnectionError("ECONNRESET"));
    else if (fault?.kind === "HalfAnswer") sendHalf(exchange, answered);
    else send(exchange, answered);
  }

  /** Faults that keep a request from the server. */
  #isUnseen(fault: Fault, exchange: Exchange): boolean {
    switch (fault.kind) {
      case "Answer": {
        const text = fault.body === undefined ? "" : JSON.stringify(fault.body);
        send(exchange, { code: fault.code, text, headers: fault.headers ?? {} });
        return true;
      }
      case "Refuse":
        exchange.fail(new LostConnectionError("ECONNREFUSED"));
        return true;
      case "Reset":
        exchange.fail(new LostConnectionError("ECONNRESET"));
        return true;
      case "Stall":
        exchange.stall();
        return true;
      default:
        return false;
    }
  }

  #watch(seen: Seen, fault: Fault | undefined, exchange: Exchange): void {
    const { api, faults = {} } = this.#options;
    if (seen.target === undefined || exchange.isOver) return;
    const lag = { held: fault?.kind === "Stale" ? ([] as string[]) : undefined };
    const open = openWatch(seen, exchange, lag);
    const lines: string[] = [];
    let say = (line: string) => void lines.push(line);
    let end = () => {};
    let code = 200;
    try {
      const watch = api.watch(seen.target, seen.query, { say: (line) => say(line), end: () => end() });
      exchange.onLeave(() => {
        watch.leave();
        this.#watches.delete(open);
        this.#exchanges.delete(exchange);
      });
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      // A history that is gone is told within the watch; what cannot be watched at all is refused.
      if (error.code !== 410) {
        faults.answered?.(seen, error.code);
        send(exchange, refused(error));
        return;
      }
      code = 410;
      lines.push(`${JSON.stringify({ type: "ERROR", object: error.body })}\n`);
    }
    faults.answered?.(seen, 200);
    exchange.respond(200, jsonHeaders);
    if (code === 410) {
      exchange.write(lines.join(""));
      exchange.end();
      return;
    }
    if (lag.held !== undefined) lag.held.push(...lines);
    else if (lines.length > 0) exchange.write(lines.join(""));
    say = (line) => {
      if (lag.held === undefined) exchange.write(line);
      else lag.held.push(line);
    };
    end = () => exchange.end();
    this.#watches.add(open);
  }

  #seen(request: ModelRequest): Seen {
    const { method, path, headers = {}, body } = request;
    const route = routeOf(this.#options.api, path);
    return {
      method,
      path,
      target: route?.target,
      query: route?.query ?? {},
      isWatch: method === "GET" && route?.query.watch === "true",
      userAgent: headers["user-agent"] ?? "",
      contentType: headers["content-type"],
      body: body ?? undefined,
      atMs: this.#options.now(),
    };
  }
}

/** Credentials that lead to a model, in the place of those that lead to a server. */
export class ModelCredentials {
  readonly #dispatcher: ModelDispatcher;
  readonly #token: () => string;
  #known: string | undefined;

  /** `token` is what stands in the file now; it is read once, and again after `expire`. */
  constructor(dispatcher: ModelDispatcher, token: () => string = () => "token") {
    this.#dispatcher = dispatcher;
    this.#token = token;
  }

  /** The access to use for the next request. */
  async current(): Promise<Access> {
    this.#known ??= this.#token();
    return {
      server: "http://api.model",
      headers: { authorization: `Bearer ${this.#known}` },
      // Our clients call nothing of a dispatcher but `request`, and read of its answers what AnswerBody has.
      dispatcher: this.#dispatcher as unknown as Dispatcher,
    };
  }

  /** To be called after a 401: the token is read again. */
  expire(): void {
    this.#known = undefined;
  }
}

const atOnce: Deliver = (run) => run();
const jsonHeaders = { "content-type": "application/json" };

type AnswerToSend = Readonly<{ code: number; text: string; headers?: Readonly<Record<string, string>> }>;

function send(exchange: Exchange, { code, text, headers }: AnswerToSend): void {
  exchange.answerWith(code, { ...jsonHeaders, ...headers }, text);
}

function sendHalf(exchange: Exchange, { code, text, headers }: AnswerToSend): void {
  exchange.respond(code, { ...jsonHeaders, ...headers });
  exchange.write(text.slice(0, text.length / 2));
  exchange.fail(new LostConnectionError("ECONNRESET"));
}

function openWatch(seen: Seen, exchange: Exchange, lag: { held: string[] | undefined }): OpenWatch {
  const line = JSON.stringify({ type: "MODIFIED", object: { metadata: { name: "cut-off" } } });
  return {
    seen,
    end: () => exchange.end(),
    reset: () => exchange.fail(new LostConnectionError("ECONNRESET")),
    stall: () => exchange.stall(),
    hold: () => {
      lag.held ??= [];
    },
    release: () => {
      for (const each of lag.held ?? []) exchange.write(each);
      lag.held = undefined;
    },
    truncate: () => {
      exchange.write(line.slice(0, 40));
      exchange.end();
    },
    garble: () => exchange.write(`${line.slice(0, 40)}\n`),
    expire: () => {
      exchange.write(`${JSON.stringify({ type: "ERROR", object: expired("too old resource version").body })}\n`);
      exchange.end();
    },
    say: (said) => exchange.write(`${JSON.stringify(said)}\n`),
  };
}
