import type { Target } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Query } from "./lists.ts";

/** A request as those see it who break things, and those who count. */
export type Seen = Readonly<{
  method: string;
  path: string;
  /** Undefined where the path leads nowhere. */
  target: Target | undefined;
  query: Query;
  isWatch: boolean;
  userAgent: string;
  contentType: string | undefined;
  body: string | undefined;
  /** When it came, by the server's clock. */
  atMs: number;
}>;

/** What is done to one request instead of answering it as it is. */
export type Fault =
  /** Answered in the server's place, which never sees it: 401, 429 with `retry-after`, 500 and its like. */
  | Readonly<{ kind: "Answer"; code: number; headers?: Readonly<Record<string, string>>; body?: unknown }>
  /** There is no connection: nobody listens. */
  | Readonly<{ kind: "Refuse" }>
  /** The connection is lost before the server sees the request. */
  | Readonly<{ kind: "Reset" }>
  /** The connection is taken, and nothing is ever said. */
  | Readonly<{ kind: "Stall" }>
  /** The server acts, and its answer is lost. */
  | Readonly<{ kind: "LoseAnswer" }>
  /** The server acts, and its answer breaks off in the middle. */
  | Readonly<{ kind: "HalfAnswer" }>
  /** A read is answered, or a watch opened, by a server that has seen no write after this version. */
  | Readonly<{ kind: "Stale"; version: number }>;

/** Breaks requests on their way, and is told what became of the others. */
export type Faults = Readonly<{
  strike?: (seen: Seen) => Fault | undefined;
  /** Told of every request that the server acted on, also where its answer is lost. */
  answered?: (seen: Seen, code: number) => void;
}>;

/** One open watch, and what can be done to it. */
export type OpenWatch = Readonly<{
  seen: Seen;
  /** Ends it as a server does, between two lines. */
  end: () => void;
  /** Cuts the connection. */
  reset: () => void;
  /** Passes nothing on from now, and keeps the connection open. */
  stall: () => void;
  /** Holds the lines back, as a server that lags does, until `release`. */
  hold: () => void;
  release: () => void;
  /** Sends half a line, then ends. */
  truncate: () => void;
  /** Sends a line that is no JSON; what follows is passed on as if nothing had been lost. */
  garble: () => void;
  /** Says that the history is gone, and ends. */
  expire: () => void;
  /** Sends a line of the caller's own. */
  say: (line: unknown) => void;
}>;

/** A connection that ended as no answer. `code` is what a client tells such failures apart by. */
export class LostConnectionError extends Error {
  override readonly name = "LostConnectionError";
  readonly code: "ECONNREFUSED" | "ECONNRESET";

  constructor(code: "ECONNREFUSED" | "ECONNRESET") {
    super(code === "ECONNREFUSED" ? "nobody listens" : "the other side closed the connection");
    this.code = code;
  }
}
