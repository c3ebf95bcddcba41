import { AsyncLocalStorage } from "node:async_hooks";
import http, { type ClientRequest, type IncomingMessage, type RequestOptions } from "node:http";
import https from "node:https";

/** One request on its way: what may end it, and what is known of its answer. */
export type Exchange = { readonly signal: AbortSignal; status: number | null; errorText: string };

const exchanges = new AsyncLocalStorage<Exchange>();
const maxErrorText = 64 * 1024;

/** Statuses whose body the `minio` package leaves unread on the connection, and of which it tells nobody. */
const unread = new Set([408, 429, 499, 500, 502, 503, 504, 520]);

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
    return request({ ...options, signal: exchange.signal }, (response) => {
      exchange.status = response.statusCode ?? null;
      if (unread.has(response.statusCode ?? 0)) keepErrorText(exchange, response);
      answered(response);
    });
  };
  // The package calls it with options and a callback, one of the ways that Node's own type allows.
  return { request: watched as typeof http.request };
}

/** Reads the body to its end, so that the connection can be used again, and keeps its beginning. */
function keepErrorText(exchange: Exchange, response: IncomingMessage): void {
  response.on("data", (piece: Buffer) => {
    if (exchange.errorText.length < maxErrorText) exchange.errorText += piece.toString("utf8");
  });
  // The status has said what matters; an answer that breaks off adds nothing to it.
  response.on("error", () => {});
}
