/**
 * What can go wrong with one request between a client and a store:
 *
 *     client ── request ──► proxy ── request ──► store
 *  Answer, Page, Reset, Hold   │   StallUpload, CutUpload, FlipUpload, IgnoreConditions, IgnoreSums
 *        Delay, StaleList      │   ArriveLate (the client is gone by then)
 *     client ◄── reply ───── proxy ◄── reply ─── store
 *        StallDownload, CutDownload, ShortenDownload, FlipDownload, OmitFromList, Hold, LoseReply
 *
 * A fault at a byte that the body does not have never happens.
 */
export type Fault =
  /** The proxy refuses in the store's place; the store never hears of it. */
  | { readonly kind: "Answer"; readonly code: ErrorCode; readonly status?: number }
  /** A web page instead, as of a gateway that does not know the way to the store. */
  | { readonly kind: "Page"; readonly status: number }
  /** The connection is reset before a byte is forwarded. */
  | { readonly kind: "Reset" }
  /** The store does it, and the connection is reset instead of its reply. */
  | { readonly kind: "LoseReply" }
  | { readonly kind: "Delay"; readonly ms: number }
  /** Kept until the rule is removed: before the store hears of it, or after it has done it. */
  | { readonly kind: "Hold"; readonly what: "Request" | "Reply" }
  /** The client's connection is reset at once, and the whole request reaches the store when the rule is removed. */
  | { readonly kind: "ArriveLate" }
  | { readonly kind: "StallUpload"; readonly afterBytes: number; readonly ms: number }
  /** The store gets the first bytes; then both connections break. */
  | { readonly kind: "CutUpload"; readonly afterBytes: number }
  | { readonly kind: "FlipUpload"; readonly atByte: number }
  | { readonly kind: "StallDownload"; readonly afterBytes: number; readonly ms: number }
  /** The client gets the first bytes of what was announced; then its connection breaks. */
  | { readonly kind: "CutDownload"; readonly afterBytes: number }
  /** The client gets the first bytes as if they were all. */
  | { readonly kind: "ShortenDownload"; readonly afterBytes: number }
  | { readonly kind: "FlipDownload"; readonly atByte: number }
  /** The last listing of the same URL that went through, from before this fault; if there was none, the first one from then on. */
  | { readonly kind: "StaleList" }
  /** A listing without the keys that match. */
  | { readonly kind: "OmitFromList"; readonly key: RegExp }
  /** `If-None-Match` and `If-Match` do not reach the store: it plays one that does not know them. */
  | { readonly kind: "IgnoreConditions" }
  /** `x-amz-checksum-*` headers do not reach the store: it plays one that does not know them. */
  | { readonly kind: "IgnoreSums" };

/** The refusals that a store gives for reasons of its own. */
export type ErrorCode = keyof typeof refusals;

/** The status and the sentence of each refusal. A rule may give another status: stores do not agree on all. */
export const refusals = {
  InternalError: { status: 500, message: "The server met an error. Try again." },
  ServiceUnavailable: { status: 503, message: "The server cannot serve now." },
  SlowDown: { status: 503, message: "Send fewer requests." },
  TooManyRequests: { status: 429, message: "Send fewer requests." },
  RequestTimeTooSkewed: { status: 403, message: "The request's time and the server's are too far apart." },
  ExpiredToken: { status: 403, message: "The token has expired." },
  InvalidAccessKeyId: { status: 403, message: "There is no such access key." },
  AccessDenied: { status: 403, message: "This is not allowed." },
  NoSuchBucket: { status: 404, message: "There is no such bucket." },
  RequestTimeout: { status: 400, message: "The request took too long to come." },
  NotImplemented: { status: 501, message: "This store does not know such a request." },
  OperationAborted: { status: 409, message: "Another conditional operation on this object is going on." },
} as const;
