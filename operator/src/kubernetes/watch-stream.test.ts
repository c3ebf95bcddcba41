import { describe, expect, it } from "vitest";
import {
  IdleWatchError,
  TruncatedWatchError,
  UnreadableWatchError,
  type WatchEvent,
  watchEvents,
} from "./watch-stream.ts";

const line = (type: string, version: string) =>
  `${JSON.stringify({ type, object: { metadata: { name: "é", uid: "u", resourceVersion: version } } })}\n`;

async function* body(...chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
}

async function read(chunks: AsyncIterable<Uint8Array>, longestLineBytes = 10_000): Promise<[WatchEvent[], unknown]> {
  const events: WatchEvent[] = [];
  try {
    for await (const event of watchEvents(chunks, { idleMs: 5_000, longestLineBytes })) events.push(event);
    return [events, undefined];
  } catch (error) {
    return [events, error];
  }
}

const event = (type: string, resourceVersion: string) =>
  ({ type, object: { metadata: { name: "é", uid: "u", resourceVersion } } }) as WatchEvent;

describe("a watch's stream", () => {
  it("gives the same events wherever the bytes are cut", async () => {
    const bytes = Buffer.from(line("ADDED", "1") + line("MODIFIED", "2"));
    for (let cut = 0; cut <= bytes.length; cut += 1) {
      const [events, error] = await read(body(bytes.subarray(0, cut), bytes.subarray(cut)));
      expect([events, error]).toEqual([[event("ADDED", "1"), event("MODIFIED", "2")], undefined]);
    }
  });

  it("reads bookmarks and the server's errors", async () => {
    const gone = `{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired","message":"too old"}}\n`;
    expect(await read(body(line("BOOKMARK", "7"), gone))).toEqual([
      [
        { type: "BOOKMARK", resourceVersion: "7" },
        { type: "ERROR", status: 410, reason: "Expired", message: "too old" },
      ],
      undefined,
    ]);
  });

  it("gives what came whole and then says that the last line was cut off", async () => {
    const [events, error] = await read(body(line("ADDED", "1"), line("MODIFIED", "2").slice(0, 30)));
    expect(events).toEqual([event("ADDED", "1")]);
    expect(error).toBeInstanceOf(TruncatedWatchError);
  });

  const unreadable: readonly [name: string, text: string][] = [
    ["is not JSON", '{"type":"ADD\u0000ED", oops}\n'],
    ["is null", "null\n"],
    ["has no object", '{"type":"ADDED"}\n'],
    ["has an object without a version", '{"type":"ADDED","object":{"metadata":{"name":"p"}}}\n'],
    ["has a version that is no number", line("ADDED", "1e3")],
    ["has a type that nobody knows", line("RENAMED", "3")],
  ];
  it.each(unreadable)("refuses a line that %s", async (_, text) => {
    const [events, error] = await read(body(line("ADDED", "1"), text, line("ADDED", "9")));
    expect(events).toEqual([event("ADDED", "1")]);
    expect(error).toBeInstanceOf(UnreadableWatchError);
  });

  it("refuses a line without end", async () => {
    const [, error] = await read(body("x".repeat(600), "x".repeat(600)), 1_000);
    expect(error).toEqual(new UnreadableWatchError("Cannot read the watch because a line is longer than 1000 bytes"));
  });

  it("gives up on a connection that says nothing", async () => {
    async function* stalled(): AsyncGenerator<Uint8Array> {
      yield Buffer.from(line("ADDED", "1"));
      await new Promise(() => undefined);
    }
    const events: WatchEvent[] = [];
    const reading = (async () => {
      for await (const seen of watchEvents(stalled(), { idleMs: 20, longestLineBytes: 1_000 })) events.push(seen);
    })();
    await expect(reading).rejects.toEqual(new IdleWatchError("Cannot trust the watch because nothing came for 20 ms"));
    expect(events).toEqual([event("ADDED", "1")]);
  });
});
