import type { KubeObject } from "./kube-object.ts";

/** One line of a watch. */
export type WatchEvent =
  | Readonly<{ type: "ADDED" | "MODIFIED" | "DELETED"; object: KubeObject }>
  | Readonly<{ type: "BOOKMARK"; resourceVersion: string }>
  | Readonly<{ type: "ERROR"; status: number; reason: string; message: string }>;

/** A line that is no watch event: what was missed can only be learned from a new list. */
export class UnreadableWatchError extends Error {
  override readonly name = "UnreadableWatchError";
}

/** Nothing came for too long, not even a bookmark: the connection may be half open. */
export class IdleWatchError extends Error {
  override readonly name = "IdleWatchError";
}

/** The connection ended in the middle of a line: the rest of that event is still to come, on the next one. */
export class TruncatedWatchError extends Error {
  override readonly name = "TruncatedWatchError";
}

/** Bounds of one watch. */
export type WatchBounds = Readonly<{ idleMs: number; longestLineBytes: number }>;

/**
 * The events of a watch's body, in order. Ends when the body ends at the end of a line; everything else is one
 * of the errors above, or the connection's own.
 */
export async function* watchEvents(body: AsyncIterable<Uint8Array>, bounds: WatchBounds): AsyncGenerator<WatchEvent> {
  const chunks = body[Symbol.asyncIterator]();
  let rest: Buffer = Buffer.alloc(0);
  try {
    for (;;) {
      const next = await nextWithin(chunks, bounds);
      if (next.done === true) {
        if (rest.length === 0) return;
        throw new TruncatedWatchError(
          `Cannot read the watch because it ended within a line: ${rest.toString("utf8", 0, 120)}`,
        );
      }
      rest = rest.length === 0 ? Buffer.from(next.value) : Buffer.concat([rest, next.value]);
      for (let end = rest.indexOf(newline); end >= 0; end = rest.indexOf(newline)) {
        const line = rest.toString("utf8", 0, end);
        rest = rest.subarray(end + 1);
        if (line.trim() !== "") yield parseLine(line);
      }
      if (rest.length > bounds.longestLineBytes) {
        throw new UnreadableWatchError(
          `Cannot read the watch because a line is longer than ${bounds.longestLineBytes} bytes`,
        );
      }
    }
  } finally {
    // Not awaited: a stalled connection would never confirm. The caller's signal destroys it.
    void chunks.return?.().catch(() => undefined);
  }
}

const newline = 0x0a;

async function nextWithin(
  chunks: AsyncIterator<Uint8Array>,
  bounds: WatchBounds,
): Promise<IteratorResult<Uint8Array, unknown>> {
  let timer: NodeJS.Timeout | undefined;
  const idle = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new IdleWatchError(`Cannot trust the watch because nothing came for ${bounds.idleMs} ms`)),
      bounds.idleMs,
    );
  });
  try {
    const next = chunks.next();
    // Where the deadline wins, the read fails later, when the connection is destroyed, and nobody waits for it.
    next.catch(() => undefined);
    return await Promise.race([next, idle]);
  } finally {
    clearTimeout(timer);
  }
}

function parseLine(line: string): WatchEvent {
  const event = parsed(line) as {
    type?: unknown;
    object?: KubeObject & { code?: number; reason?: string; message?: string };
  };
  const { type, object } = event ?? {};
  if (object === null || typeof object !== "object") throw unreadable(line, "it carries no object");
  if (type === "ERROR") {
    return { type, status: object.code ?? 0, reason: object.reason ?? "", message: object.message ?? "" };
  }
  const resourceVersion = object.metadata?.resourceVersion;
  if (typeof resourceVersion !== "string" || !/^\d+$/.test(resourceVersion)) {
    throw unreadable(line, "its object carries no resource version");
  }
  if (type === "BOOKMARK") return { type, resourceVersion };
  if (type !== "ADDED" && type !== "MODIFIED" && type !== "DELETED")
    throw unreadable(line, `its type is ${String(type)}`);
  return { type, object };
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
