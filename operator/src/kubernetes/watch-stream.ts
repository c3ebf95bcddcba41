import type { KubeObject } from "./kube-object.ts";
import { LineBuffer } from "./line-buffer.ts";
import { isVersion, readObject, type Scope } from "./readable-object.ts";

/** One line of a watch. */
export type WatchEvent =
  | Readonly<{ type: "ADDED" | "MODIFIED" | "DELETED"; object: KubeObject }>
  | Readonly<{ type: "BOOKMARK"; resourceVersion: string }>
  | Readonly<{ type: "ERROR"; status: number; reason: string; message: string }>;

/** A line that is no watch event: what was missed can only be learned from a new list. */
export class UnreadableWatchError extends Error {
  override readonly name = "UnreadableWatchError";
}

/** The server has not ended the watch when it was due to: the connection may be half open, or stalled. */
export class OverdueWatchError extends Error {
  override readonly name = "OverdueWatchError";
}

/** Nothing came for too long where something was bound to come. */
export class IdleWatchError extends Error {
  override readonly name = "IdleWatchError";
}

/** The connection ended in the middle of a line: the rest of that event is still to come, on the next one. */
export class TruncatedWatchError extends Error {
  override readonly name = "TruncatedWatchError";
}

/** Bounds of one watch, and what it is of. */
export type WatchBounds = Readonly<{
  scope: Scope;
  /** From now to where the server must have ended it. */
  overdueMs: number;
  /** The longest silence, where what is watched is known to change more often than that. */
  idleMs?: number;
  longestLineBytes: number;
  signal: AbortSignal;
}>;

/**
 * The events of a watch's body, in order. Ends when the body ends at the end of a line; everything else is one
 * of the errors above, or the connection's own.
 */
export async function* watchEvents(body: AsyncIterable<Uint8Array>, bounds: WatchBounds): AsyncGenerator<WatchEvent> {
  const { scope, longestLineBytes } = bounds;
  const reader = new BoundedReader(body, bounds);
  const lines = new LineBuffer();
  try {
    for (let chunk = await reader.next(); chunk !== undefined; chunk = await reader.next()) {
      for (const line of lines.push(chunk)) {
        if (line.trim() !== "") yield parseLine(line, scope);
      }
      if (lines.restBytes > longestLineBytes) {
        throw new UnreadableWatchError(`Cannot read the watch because a line is longer than ${longestLineBytes} bytes`);
      }
    }
    if (lines.restBytes === 0) return;
    throw new TruncatedWatchError(
      `Cannot read the watch because it ended within a line: ${lines.rest().slice(0, 120)}`,
    );
  } finally {
    reader.close();
  }
}

/** Reads until a deadline or the signal; no read outlives them, whatever becomes of the connection. */
class BoundedReader {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal;
  readonly #idleMs: number | undefined;
  readonly #overdue: NodeJS.Timeout;
  #idle: NodeJS.Timeout | undefined;
  #over: Readonly<{ reason: unknown }> | undefined;
  #giveUp: (reason: unknown) => void = () => undefined;

  constructor(body: AsyncIterable<Uint8Array>, { overdueMs, idleMs, signal }: WatchBounds) {
    this.#chunks = body[Symbol.asyncIterator]();
    this.#signal = signal;
    this.#idleMs = idleMs;
    const message = `Cannot trust the watch because it has not ended within ${overdueMs} ms`;
    this.#overdue = setTimeout(() => this.#end(new OverdueWatchError(message)), overdueMs);
    signal.addEventListener("abort", this.#abort, { once: true });
    if (signal.aborted) this.#abort();
  }

  /** The next bytes; undefined at the end. */
  next(): Promise<Uint8Array | undefined> {
    return new Promise((resolve, reject) => {
      if (this.#over !== undefined) {
        reject(this.#over.reason);
        return;
      }
      this.#giveUp = reject;
      this.#awaitSomething();
      this.#chunks.next().then(({ done, value }) => resolve(done === true ? undefined : value), reject);
    });
  }

  close(): void {
    clearTimeout(this.#overdue);
    clearTimeout(this.#idle);
    this.#signal.removeEventListener("abort", this.#abort);
    // Not awaited: a stalled connection would never confirm. The caller's signal destroys it.
    void this.#chunks.return?.().catch(() => undefined);
  }

  readonly #abort = () => this.#end(this.#signal.reason);

  #awaitSomething(): void {
    const idleMs = this.#idleMs;
    if (idleMs === undefined) return;
    clearTimeout(this.#idle);
    const message = `Cannot trust the watch because nothing came for ${idleMs} ms`;
    this.#idle = setTimeout(() => this.#end(new IdleWatchError(message)), idleMs);
  }

  #end(reason: unknown): void {
    this.#over ??= { reason };
    this.#giveUp(reason);
  }
}

function parseLine(line: string, scope: Scope): WatchEvent {
  const { type, object } = (parsed(line) ?? {}) as { type?: unknown; object?: unknown };
  if (object === null || typeof object !== "object") throw unreadable(line, "it carries no object");
  if (type === "ERROR") return errorOf(object);
  if (type === "BOOKMARK") return { type, resourceVersion: bookmarkOf(object, line, scope) };
  if (type !== "ADDED" && type !== "MODIFIED" && type !== "DELETED")
    throw unreadable(line, `its type is ${String(type)}`);
  const read = readObject(object, scope, "Event");
  if (read.kind === "Flawed") throw unreadable(line, `of its object ${read.why}`);
  return { type, object: read.object };
}

function errorOf(status: Readonly<{ code?: unknown; reason?: unknown; message?: unknown }>): WatchEvent {
  const { code, reason, message } = status;
  return {
    type: "ERROR",
    status: typeof code === "number" ? code : 0,
    reason: typeof reason === "string" ? reason : "",
    message: typeof message === "string" ? message : "",
  };
}

function bookmarkOf(object: object, line: string, { resource }: Scope): string {
  const { kind, metadata } = object as { kind?: unknown; metadata?: { resourceVersion?: unknown } | null };
  if (kind !== resource.kind) throw unreadable(line, `the kind of its object is ${String(kind)}, not ${resource.kind}`);
  const version = metadata?.resourceVersion;
  if (!isVersion(version)) throw unreadable(line, "its object has no resource version");
  return version;
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw unreadable(line, "it is not JSON", cause);
  }
}

function unreadable(line: string, why: string, cause?: unknown): UnreadableWatchError {
  return new UnreadableWatchError(`Cannot read the watch because a line is no event, ${why}: ${line.slice(0, 120)}`, {
    cause,
  });
}
