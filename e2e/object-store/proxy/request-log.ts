import type { Fault } from "./fault.ts";
import type { S3Request } from "./s3-request.ts";

/** What became of one request that came to the proxy. */
export interface LoggedRequest extends S3Request {
  /** Path and query, as sent. */
  readonly url: string;
  readonly fault: Fault["kind"] | undefined;
  /** What the client was told; undefined when its connection ended before that. */
  readonly status: number | undefined;
  /** What the store said; undefined when it was never asked or never answered. */
  readonly storeStatus: number | undefined;
  /** Bytes of the body that went towards the store. */
  readonly requestBytes: number;
  /** Bytes of the body that went towards the client. */
  readonly replyBytes: number;
  /** The client did not get a whole reply. */
  readonly isAborted: boolean;
  /** Whether nothing more will happen to it, on either side. */
  readonly isOver: boolean;
  /** Why it broke off, when it did. */
  readonly problem: string | undefined;
}

/** The same, while it is being written. */
export type OpenRequest = { -readonly [Field in keyof LoggedRequest]: LoggedRequest[Field] };

/** The entry of a request that has just come. */
export function openRequest(request: S3Request, url: string, fault: Fault | undefined): OpenRequest {
  return {
    ...request,
    url,
    fault: fault?.kind,
    status: undefined,
    storeStatus: undefined,
    requestBytes: 0,
    replyBytes: 0,
    isAborted: false,
    isOver: false,
    problem: undefined,
  };
}
