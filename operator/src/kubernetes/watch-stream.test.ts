import { describe, expect, it } from "vitest";
import { pods } from "./resource.ts";
import {
  IdleWatchError,
  OverdueWatchError,
  TruncatedWatchError,
  UnreadableWatchError,
  type WatchEvent,
  watchEvents,
} from "./watch-stream.ts";

const scope = { resource: pods, namespace: "a" };
const pod = (version: string) => ({
  kind: "Pod",
  metadata: { namespace: "a", name: "é", uid: "u", resourceVersion: version },
});
const line = (type: string, version: string) => lineOf({ type, object: pod(version) });
const lineOf = (said: unknown) => `${JSON.stringify(said)}\n`;
const forever = new AbortController().signal;
const bounds = { scope, overdueMs: 5_000, longestLineBytes: 10_000, signal: forever };

async function* body(...chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
}

async function read(
  chunks: AsyncIterable<Uint8Array>,
  over: Partial<Parameters<typeof watchEvents>[1]> = {},
): Promise<[WatchEvent[], unknown]> {
  const events: WatchEvent[] = [];
  try {
    for await (const event of watchEvents(chunks, { ...bounds, ...over })) events.push(event);
    return [events, undefined];
  } catch (error) {
    return [events, error];
  }
}

const event = (type: string, resourceVersion: string) => ({ type, object: pod(resourceVersion) }) as WatchEvent;

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
    ["has an object without metadata", lineOf({ type: "ADDED", object: { kind: "Pod" } })],
    ["has an object of another kind", lineOf({ type: "ADDED", object: { ...pod("2"), kind: "Node" } })],
    ["has an object without a kind", lineOf({ type: "ADDED", object: { metadata: pod("2").metadata } })],
    ["has an object without a name", lineOf({ type: "ADDED", object: without("name") })],
    ["has an object without a uid", lineOf({ type: "DELETED", object: without("uid") })],
    ["has an object without a version", lineOf({ type: "ADDED", object: without("resourceVersion") })],
    ["has an object without a namespace", lineOf({ type: "ADDED", object: without("namespace") })],
    ["is a bookmark of another kind", lineOf({ type: "BOOKMARK", object: { ...pod("2"), kind: "Node" } })],
    ["is a bookmark without a version", lineOf({ type: "BOOKMARK", object: { kind: "Pod", metadata: null } })],
    ["has a version too long to be one", line("ADDED", "7".repeat(65))],
    ["has a version that is no number", line("ADDED", "1e3")],
    ["has a type that nobody knows", line("RENAMED", "3")],
  ];
  function without(field: keyof ReturnType<typeof pod>["metadata"]): unknown {
    const { [field]: _, ...metadata } = pod("2").metadata;
    return { kind: "Pod", metadata };
  }
  it.each(unreadable)("refuses a line that %s", async (_, text) => {
    const [events, error] = await read(body(line("ADDED", "1"), text, line("ADDED", "9")));
    expect(events).toEqual([event("ADDED", "1")]);
    expect(error).toBeInstanceOf(UnreadableWatchError);
  });

  it("refuses a line without end", async () => {
    const [, error] = await read(body("x".repeat(600), "x".repeat(600)), { longestLineBytes: 1_000 });
    expect(error).toEqual(new UnreadableWatchError("Cannot read the watch because a line is longer than 1000 bytes"));
  });

  async function* stalled(): AsyncGenerator<Uint8Array> {
    yield Buffer.from(line("ADDED", "1"));
    await new Promise(() => undefined);
  }

  const deadlines: readonly [name: string, over: Parameters<typeof read>[1], error: Error][] = [
    [
      "has not ended when it was due to",
      { overdueMs: 20 },
      new OverdueWatchError("Cannot trust the watch because it has not ended within 20 ms"),
    ],
    [
      "says nothing for longer than it can",
      { idleMs: 20 },
      new IdleWatchError("Cannot trust the watch because nothing came for 20 ms"),
    ],
    ["is not wanted any more", { signal: AbortSignal.abort(new Error("enough")) }, new Error("enough")],
  ];
  it.each(deadlines)("is given up where it %s, even if its connection never confirms", async (_, over, error) => {
    const [events, thrown] = await read(stalled(), over);
    expect(thrown).toEqual(error);
    expect(events).toEqual(over?.signal === undefined ? [event("ADDED", "1")] : []);
  });

  it("is given up where it is overdue although it never falls silent", async () => {
    async function* chatter(): AsyncGenerator<Uint8Array> {
      for (let version = 1; ; version += 1) {
        yield Buffer.from(line("MODIFIED", String(version)));
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    const [, error] = await read(chatter(), { overdueMs: 20 });
    expect(error).toBeInstanceOf(OverdueWatchError);
  });
});
