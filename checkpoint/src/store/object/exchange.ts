import { AsyncLocalStorage } from "node:async_hooks";
import http, { type ClientRequest, type IncomingMessage, type RequestOptions } from "node:http";
import https from "node:https";

/** One request on its way: what may end it, and what is known of its answer. */
export type Exchange = {
  readonly signal: AbortSignal;
  /** So long nothing may move in either direction. */
  readonly silenceMs: number;
  status: number | null;
  /** The body of an answer that the `minio` package does not read; it comes after the package has given up. */
  errorText: Promise<string>;
};

/** Nothing moved on a request's connection for so long that it is given up. */
export class SilenceError extends Error {
  override readonly name = "SilenceError";
  readonly code = "ETIMEDOUT";
}

const exchanges = new AsyncLocalStorage<Exchange>();
const maxErrorText = 64 * 1024;

/** Statuses whose body the `minio` package leaves unread on the connection, and of which it tells nobody. */
const unread = new Set([408, 429, 499, 500, 502, 503, 504, 520]);

/** An exchange of which nothing is known yet. */
export function newExchange(limits: Pick<Exchange, "signal" | "silenceMs">): Exchange {
  return { ...limits, status: null, errorText: Promise.resolve("") };
}

/** Runs one request of the `minio` package under a signal, which it has no parameter for, and notes what came of it. */
export function exchanging<T>(exchange: Exchange, request: () => Promise<T>): Promise<T> {
  return exchanges.run(exchange, request);
}

/** The `transport` for a client of the `minio` package: Node's own, with the signal and notes of the present exchange. */
export function transport(protocol: "http:" | "https:"): Pick<typeof http, "request"> {
  const { request } = protocol === "https:" ? https : http;
  const watched = (options: RequestOptions, answered: (response: IncomingMessage) => void): ClientRequest => {
    const exchange = exchanges.getStore();
    if (exchange === undefined) throw new Error("Cannot send a request outside `exchanging`: it would have no end");
    const { signal, silenceMs } = exchange;
    const sent = request({ ...options, signal, timeout: silenceMs }, (response) => {
      exchange.status = response.statusCode ?? null;
      if (unread.has(response.statusCode ?? 0)) exchange.errorText = errorTextOf(response);
      answered(response);
    });
    // A body that is stalled half way would otherwise be waited for as long as a slow one.
    sent.once("timeout", () => sent.destroy(new SilenceError(`nothing moved for ${silenceMs / 1000} s`)));
    return sent;
  };
  // The package calls it with options and a callback, one of the ways that Node's own type allows.
  return { request: watched as typeof http.request };
}

/** Reads the body to its end, so that the connection can be used again, and keeps its beginning. Never rejects. */
async function errorTextOf(response: IncomingMessage): Promise<string> {
  let kept = "";
  try {
    for await (const piece of response as AsyncIterable<Buffer>) {
      if (kept.length < maxErrorText) kept += piece.toString("utf8");
    }
  } catch {
    // The status has said what matters; an answer that breaks off adds nothing to it.
  }
  return kept;
}
