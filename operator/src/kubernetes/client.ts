import type { Dispatcher } from "undici";
import { type Attempted, jsonPatchType, NoAnswerError } from "./api-error.ts";
import type { Credentials } from "./credentials.ts";
import type { KubeObject } from "./kube-object.ts";
import { refusal } from "./refusal.ts";
import type { RequestClass, RequestLimit } from "./request-limit.ts";
import { pathOf, type Target } from "./resource.ts";
import { type Repeat, type RetryOptions, withRetries } from "./retry.ts";
import { ServerClock } from "./server-clock.ts";
import { within } from "./within.ts";

/** One page of a list. */
export type Page<T extends KubeObject> = Readonly<{
  metadata: Readonly<{ resourceVersion: string; continue?: string; remainingItemCount?: number }>;
  items: readonly T[];
}>;

/** The object, and the version of it, that a deletion is meant for (I7). */
export type Preconditions = Readonly<{ uid: string; resourceVersion?: string }>;

/** Told of every answer, and of every request that got none (`code` 0). */
export type RequestObserver = (
  seen: Readonly<{ method: string; resource: string; code: number; seconds: number }>,
) => void;

export type ApiClientOptions = Readonly<{
  credentials: Pick<Credentials, "current" | "expire">;
  limit: RequestLimit;
  retry: RetryOptions;
  /** For one try of one request, its body included; watches have none. */
  timeoutMs: number;
  userAgent: string;
  observe?: RequestObserver;
  /** Told of the date of every answer; one of its own where absent. */
  clock?: ServerClock;
  /** Asked right before each write is sent; what it throws is thrown instead. */
  mayWrite?: () => void;
}>;

/** A request's bounds: when its caller leaves, and where it is less patient than the client itself. */
export type Bound = Readonly<{
  signal: AbortSignal;
  /** How often it is sent before the caller hears of an error. One who repeats by himself asks for 1. */
  tries?: number;
  /** For one try, its body included. */
  timeoutMs?: number;
  /** Its place in the client's limit. A list is Control where nothing else is said, everything else Work. */
  purpose?: RequestClass;
  /** Where a repeat would have to wait longer, as after a long `Retry-After`, the caller hears of the error at once. */
  longestPauseMs?: number;
}>;

/** An open watch: its bytes as they come. */
export type WatchBody = AsyncIterable<Uint8Array>;

/**
 * The API server, spoken to in plain JSON. Every request has a deadline and a place in the client's limit;
 * reads are repeated on 429, 5xx and lost connections, writes only where a repeat is safe (retry.ts).
 */
export class ApiClient {
  /** The server's, as its answers tell it. */
  readonly clock: ServerClock;
  readonly #options: ApiClientOptions;

  constructor(options: ApiClientOptions) {
    this.#options = options;
    this.clock = options.clock ?? new ServerClock();
  }

  /** Reads one object from the server itself, past every cache. */
  get<T extends KubeObject>(target: Target, bound: Bound): Promise<T> {
    return this.#json<T>({ method: "GET", target, repeat: "Repeatable" }, bound);
  }

  /** Reads one page of a collection. */
  list<T extends KubeObject>(target: Target, query: Query, bound: Bound): Promise<Page<T>> {
    return this.#json<Page<T>>(
      { method: "GET", target, query, repeat: "Repeatable" },
      { purpose: "Control", ...bound },
    );
  }

  /** Creates an object, sent as it stands. A caller that repeats it must expect `AlreadyExists`. */
  create<T extends KubeObject>(target: Target, object: unknown, bound: Bound): Promise<T> {
    return this.#json<T>(
      { method: "POST", target, body: object, contentType: "application/json", repeat: "Once" },
      bound,
    );
  }

  /**
   * Merge patch (RFC 7386). With `metadata.resourceVersion` in the body it is a compare-and-swap: repeating it
   * after a lost answer is a conflict, never a second change.
   */
  mergePatch<T extends KubeObject>(target: Target, patch: unknown, bound: Bound): Promise<T> {
    const contentType = "application/merge-patch+json";
    return this.#json<T>({ method: "PATCH", target, body: patch, contentType, repeat: "Once" }, bound);
  }

  /**
   * A merge patch that is refused, with `unknownFields`, where the definition of a custom resource lacks a field of it: by
   * any other one the server stores the rest, and calls that a success. Nothing is stored of what is refused.
   */
  strictMergePatch<T extends KubeObject>(target: Target, patch: unknown, bound: Bound): Promise<T> {
    const query = { fieldValidation: "Strict" };
    const contentType = "application/merge-patch+json";
    return this.#json<T>({ method: "PATCH", target, query, body: patch, contentType, repeat: "Once" }, bound);
  }

  /** JSON patch (RFC 6902); its `test` operations are the preconditions. */
  jsonPatch<T extends KubeObject>(target: Target, operations: readonly unknown[], bound: Bound): Promise<T> {
    return this.#json<T>(
      { method: "PATCH", target, body: operations, contentType: jsonPatchType, repeat: "Once" },
      bound,
    );
  }

  /** Deletes exactly the object decided on; repeated safely, since another uid is refused with a conflict. */
  remove(target: Target, options: DeleteOptions, bound: Bound): Promise<KubeObject> {
    const body = { apiVersion: "v1", kind: "DeleteOptions", ...options };
    return this.#json<KubeObject>(
      { method: "DELETE", target, body, contentType: "application/json", repeat: "Repeatable" },
      bound,
    );
  }

  /** Opens a watch; resolves with its body once the server has accepted it. Not repeated: the reflector decides. */
  async watch(target: Target, query: Query, bound: Bound & Readonly<{ openTimeoutMs: number }>): Promise<WatchBody> {
    await this.#options.limit.acquireRate(bound.signal);
    const opening = new AbortController();
    const timer = setTimeout(
      () => opening.abort(new Error(`no answer within ${bound.openTimeoutMs} ms`)),
      bound.openTimeoutMs,
    );
    try {
      const signal = AbortSignal.any([bound.signal, opening.signal]);
      const answer = await this.#send(
        { method: "GET", target, query: { ...query, watch: "true" }, repeat: "Once" },
        signal,
      );
      return answer.body;
    } finally {
      clearTimeout(timer);
    }
  }

  async #json<T>(request: Request, bound: Bound): Promise<T> {
    const { retry, limit } = this.#options;
    const { tries = retry.tries, timeoutMs = this.#options.timeoutMs } = bound;
    const send = async (): Promise<T> => {
      const slot = await limit.acquire(bound.signal, bound.purpose);
      try {
        return await within(timeoutMs, bound.signal, async (signal) => {
          const answer = await this.#send(request, signal);
          return parse<T>(await text(answer.body, request), request);
        });
      } finally {
        slot.release();
      }
    };
    return await withRetries(send, {
      ...retry,
      tries,
      repeat: request.repeat,
      signal: bound.signal,
      longestPauseMs: bound.longestPauseMs,
    });
  }

  async #send(request: Request, signal: AbortSignal): Promise<Dispatcher.ResponseData> {
    const { server, headers, dispatcher } = await this.#options.credentials.current();
    // Asked last: to wait for a place, or for credentials, may have taken longer than the right to write lasts.
    if (request.method !== "GET") this.#options.mayWrite?.();
    const startedAt = performance.now();
    let code = 0;
    try {
      const base = new URL(server);
      const answer = await this.#reach(
        request,
        dispatcher.request({
          origin: base.origin,
          path: base.pathname.replace(/\/+$/, "") + pathOf(request.target) + search(request.query),
          method: request.method,
          headers: {
            ...headers,
            accept: "application/json",
            "user-agent": this.#options.userAgent,
            ...(request.contentType === undefined ? {} : { "content-type": request.contentType }),
          },
          body: request.body === undefined ? null : JSON.stringify(request.body),
          signal,
          headersTimeout: 0,
          bodyTimeout: 0,
        }),
      );
      code = answer.statusCode;
      this.clock.hear(answer.headers.date, startedAt);
      if (code >= 200 && code < 300) return answer;
      if (code === 401) this.#options.credentials.expire();
      throw refusal(answer, await text(answer.body, request), request);
    } finally {
      const seconds = (performance.now() - startedAt) / 1000;
      this.#options.observe?.({ method: verb(request), resource: request.target.resource.plural, code, seconds });
    }
  }

  async #reach<T>(request: Attempted, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (cause) {
      const error = new NoAnswerError(request, cause);
      // An authority or a certificate that was replaced: the files may know it already.
      if (error.isUntrusted) this.#options.credentials.expire();
      throw error;
    }
  }
}

export type Query = Readonly<Record<string, string | undefined>>;
export type DeleteOptions = Readonly<{
  preconditions: Preconditions;
  gracePeriodSeconds?: number;
  propagationPolicy?: "Foreground" | "Background" | "Orphan";
}>;

type Request = Attempted &
  Readonly<{
    method: "GET" | "POST" | "PATCH" | "DELETE";
    repeat: Repeat;
    query?: Query;
    body?: unknown;
  }>;

const largestAnswerBytes = 128 * 1024 * 1024;

async function text(body: Dispatcher.ResponseData["body"], request: Attempted): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      size += chunk.byteLength;
      if (size > largestAnswerBytes) throw new Error(`the answer is longer than ${largestAnswerBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (cause) {
    throw new NoAnswerError(request, cause);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parse<T>(body: string, request: Attempted): T {
  try {
    return JSON.parse(body) as T;
  } catch (cause) {
    throw new NoAnswerError(request, cause);
  }
}

function search(query: Query | undefined): string {
  const given = Object.entries(query ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? "" : `?${new URLSearchParams(given)}`;
}

function verb(request: Request): string {
  if (request.method !== "GET") return request.method;
  if (request.target.name !== undefined) return "GET";
  return request.query?.watch === "true" ? "WATCH" : "LIST";
}
