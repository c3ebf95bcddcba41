import { describe, type Target } from "./resource.ts";

/** What was asked of the API server; `method` is the verb of HTTP. */
export type Attempted = Readonly<{ method: string; target: Target; contentType?: string }>;

/** RFC 6902: the only kind of patch whose own `test` can fail. */
export const jsonPatchType = "application/json-patch+json";

/**
 * The API server answered, and refused. `reason` is the machine-readable word of its Status object
 * (`AlreadyExists`, `Conflict`, ...), empty where something in between answered with plain text.
 */
export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly reason: string;
  /** The server's own sentence. */
  readonly detail: string;
  readonly attempted: Attempted;
  /** How long the server asked us to stay away. */
  readonly retryAfterMs: number | undefined;
  /** The paths that an `Invalid` object was refused for, such as `status.conditions[0].reason`. */
  readonly fields: readonly string[];
  /** The paths that the definition of a custom resource lacks, where a strict patch was refused for them. */
  readonly unknownFields: readonly string[];

  constructor(
    attempted: Attempted,
    answer: {
      status: number;
      reason: string;
      detail: string;
      retryAfterMs?: number | undefined;
      fields?: readonly string[];
      unknownFields?: readonly string[];
    },
  ) {
    super(
      `Cannot ${attempted.method} ${describe(attempted.target)} because the API server answered ${answer.status} ${answer.reason}: ${answer.detail}`,
    );
    this.status = answer.status;
    this.reason = answer.reason;
    this.detail = answer.detail;
    this.attempted = attempted;
    this.retryAfterMs = answer.retryAfterMs;
    this.fields = answer.fields ?? [];
    this.unknownFields = answer.unknownFields ?? [];
  }
}

/**
 * No whole answer came: the connection failed, the deadline passed, the body broke off. A write may or may
 * not have happened; only a later read can tell.
 */
export class NoAnswerError extends Error {
  override readonly name = "NoAnswerError";
  readonly attempted: Attempted;
  /** True where the request never left this process, so that the server cannot have acted. */
  readonly neverSent: boolean;
  /** True where the two sides did not trust each other: credentials on disk may be newer than those used. */
  readonly isUntrusted: boolean;

  constructor(attempted: Attempted, cause: unknown) {
    super(`Cannot ${attempted.method} ${describe(attempted.target)} because no answer came: ${wordsOf(cause)}`, {
      cause,
    });
    this.attempted = attempted;
    const { code, syscall } = failureOf(cause);
    this.neverSent =
      connectionFailures.has(code) || (routeFailures.has(code) && syscall === "connect") || ourDistrust.test(code);
    this.isUntrusted = ourDistrust.test(code) || code.startsWith("ERR_SSL_");
  }
}

/** The server has no such object (any more). */
export function isNotFound(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}

/** An object of that name stands already; whose it is must be read, not assumed (I7). */
export function isAlreadyExists(error: unknown): boolean {
  return error instanceof ApiError && error.status === 409 && error.reason === "AlreadyExists";
}

/** The object changed since it was read, or is another one under the same name: read again and decide again. */
export function isConflict(error: unknown): boolean {
  if (!(error instanceof ApiError)) return false;
  return (error.status === 409 && error.reason !== "AlreadyExists") || isFailedPatchTest(error);
}

/** The version asked for is no longer in the server's history: list anew. */
export function isExpired(error: unknown): boolean {
  return error instanceof ApiError && (error.status === 410 || error.reason === "Expired");
}

/** For whatever reason: a right that is missing, or an object that is not wanted. */
export function isForbidden(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status === 403;
}

/**
 * We may not ask for this at all, whatever it contains. A server that has only just started answers so as well, until
 * it has read its roles: no refusal of what was sent may be concluded from it.
 */
export function isBeyondOurRights(error: unknown): error is ApiError {
  return isForbidden(error) && /User "[^"]*" cannot /.test(error.detail);
}

/** The server, or a webhook or quota on its behalf, will not have this object: repeating it at once is useless. */
export function isRefusal(error: unknown): error is ApiError {
  if (!(error instanceof ApiError) || isFailedPatchTest(error)) return false;
  return [400, 403, 413, 422].includes(error.status) || isUnreachableWebhook(error);
}

/** The error's own words and its causes', in one line. */
export function wordsOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = error.message === "" ? failureOf(error).code || error.name : error.message;
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error.cause;
  return first === undefined ? own : `${own}: ${wordsOf(first)}`;
}

// A JSON patch whose `test` fails, or whose path is not there any more, is answered 422 without a word about a
// field; a patch that was applied and then broke a rule names the field, after "is invalid:".
function isFailedPatchTest(error: ApiError): boolean {
  return error.attempted.contentType === jsonPatchType && error.status === 422 && !error.detail.includes("is invalid:");
}

// A webhook that is away refuses for as long as it is; any other internal error may be over at the next try.
function isUnreachableWebhook({ status, detail }: ApiError): boolean {
  return status === 500 && detail.includes("failed calling webhook");
}

const connectionFailures = new Set([
  "ECONNREFUSED",
  "ENOTFOUND",
  "EAI_AGAIN",
  "UND_ERR_CONNECT_TIMEOUT",
  // The pool was retired between the look at the credentials and the request.
  "UND_ERR_CLOSED",
]);

/** A connection that stood ends with these as well, once what was sent over it has long met no route. */
const routeFailures = new Set(["EHOSTUNREACH", "ENETUNREACH"]);

// Node's names for a server's certificate that we do not accept. It is looked at before anything is sent.
const ourDistrust =
  /^(CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH$|INVALID_CA$|INVALID_PURPOSE$|PATH_LENGTH_EXCEEDED$|ERR_TLS_CERT_ALTNAME_INVALID$)/;

/** The code by which the system, Node or undici names a failure, and the system call that it met; empty where unknown. */
function failureOf(error: unknown): Readonly<{ code: string; syscall: string }> {
  if (!(error instanceof Error)) return { code: "", syscall: "" };
  if ("code" in error && typeof error.code === "string") {
    return { code: error.code, syscall: "syscall" in error ? String(error.syscall) : "" };
  }
  return failureOf(error instanceof AggregateError ? error.errors[0] : error.cause);
}
