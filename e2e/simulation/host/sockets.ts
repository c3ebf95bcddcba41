import http, { type RequestListener, type RequestOptions, type ServerOptions } from "node:http";
import { SimClientRequest } from "./client-request.ts";
import type { SimProcess } from "./process.ts";
import { dispatching, type Replacement, replacing } from "./replacement.ts";
import { SimServer } from "./server.ts";

/** HTTP between simulated processes, over the network that each was given. */
export function socketReplacements(): Replacement[] {
  // Node's types of both functions are overloaded beyond what a function can be checked against.
  return [
    replacing(http, { name: "createServer", of: "http" }, (real) => {
      return dispatching(real as AnyFunction, createServer as AnyFunction) as typeof real;
    }),
    replacing(http, { name: "request", of: "http" }, (real) => {
      return dispatching(real as AnyFunction, request as AnyFunction) as typeof real;
    }),
  ];
}

type AnyFunction = (...args: unknown[]) => unknown;

function createServer(
  process: SimProcess,
  first?: ServerOptions | RequestListener,
  second?: RequestListener,
): SimServer {
  return typeof first === "function" ? new SimServer(process, {}, first) : new SimServer(process, first ?? {}, second);
}

function request(
  process: SimProcess,
  options: RequestOptions,
  answered?: (response: http.IncomingMessage) => void,
): SimClientRequest {
  return new SimClientRequest(process, options, answered);
}
