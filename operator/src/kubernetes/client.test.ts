import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent, type Dispatcher } from "undici";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { until } from "../../test/scripted-client.ts";
import { NoAnswerError } from "./api-error.ts";
import { ApiClient } from "./client.ts";
import type { Access } from "./credentials.ts";
import { RequestLimit } from "./request-limit.ts";
import { pods } from "./resource.ts";

const { signal } = new AbortController();
const target = { resource: pods, namespace: "team", name: "mnist-1-0" };

describe("the client", () => {
  let server: Server;
  let dispatcher: Agent;
  let asked: string[];
  let answer: (request: IncomingMessage, response: ServerResponse) => void;
  let client: ApiClient;
  let access: Access;
  /** What the next requests go through instead of the pool that is good. */
  let dispatchers: Dispatcher[];
  let expired: number;

  beforeEach(async () => {
    asked = [];
    server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    dispatcher = new Agent();
    expired = 0;
    dispatchers = [];
    access = { server: `http://127.0.0.1:${port}`, headers: {}, dispatcher };
    client = new ApiClient({
      credentials: {
        current: async () => ({ ...access, dispatcher: dispatchers.shift() ?? dispatcher }),
        expire: () => (expired += 1),
      },
      limit: new RequestLimit({ perSecond: 1_000, burst: 1_000, inFlight: 8 }),
      retry: { tries: 3, backoff: { firstMs: 1, maxMs: 1, random: () => 0 }, longestRetryAfterMs: 1 },
      timeoutMs: 30_000,
      userAgent: "test",
    });
  });

  afterEach(async () => {
    await dispatcher.destroy();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  const fails = (_: IncomingMessage, response: ServerResponse) => void response.writeHead(503).end("busy");

  it.each([
    ["as often as the client does by itself", {}, 3],
    ["once for a caller who repeats by himself", { tries: 1 }, 1],
  ])("asks %s", async (_, bound, times) => {
    answer = fails;
    await expect(client.list(target, {}, { signal, ...bound })).rejects.toMatchObject({ status: 503 });
    expect(asked.length).toBe(times);
  });

  it("waits for an answer no longer than the caller does", async () => {
    answer = () => undefined;
    const error = await client.get(target, { signal, tries: 1, timeoutMs: 20 }).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(NoAnswerError);
    expect(asked.length).toBe(1);
  });

  it("lists while all else that it may ask for hangs", async () => {
    answer = ({ url }, response) => void (url?.includes("limit=") && response.end("{}"));
    const leaving = new AbortController();
    const hanging = Array.from({ length: 8 }, () => client.get(target, leaving).catch(() => undefined));
    await until(() => asked.length === 7);
    await client.list({ resource: pods }, { limit: "1" }, { signal });
    expect(asked.length).toBe(8);
    leaving.abort(new Error("left"));
    await Promise.all(hanging);
  });

  it("sends a write again, once, whose pool was retired before it got there", async () => {
    answer = ({ method }, response) => void (method === "POST" && response.writeHead(201).end("{}"));
    const retired = new Agent();
    const underWay = retired.request({ origin: access.server, path: "/", method: "GET" }).catch(() => undefined);
    await until(() => asked.length === 1);
    void retired.close();
    dispatchers = [retired];
    await client.create(target, {}, { signal });
    expect(asked).toEqual(["GET /", "POST /api/v1/namespaces/team/pods/mnist-1-0"]);
    void retired.destroy();
    server.closeAllConnections();
    await underWay;
  });

  it("asks whether it may write when all that a request waits for is there, and sends nothing where it may not", async () => {
    answer = (_, response) => void response.end("{}");
    const reading = Promise.withResolvers<void>();
    let waiting = 0;
    let isHeld = true;
    const lost = new Error("the lease is lost");
    const seen: number[] = [];
    const guarded = new ApiClient({
      credentials: {
        current: async () => {
          waiting += 1;
          await reading.promise;
          return access;
        },
        expire: () => undefined,
      },
      limit: new RequestLimit({ perSecond: 1_000, burst: 1_000, inFlight: 8 }),
      retry: { tries: 3, backoff: { firstMs: 1, maxMs: 1, random: () => 0 }, longestRetryAfterMs: 1 },
      timeoutMs: 30_000,
      userAgent: "test",
      observe: ({ code }) => seen.push(code),
      mayWrite: () => {
        if (!isHeld) throw lost;
      },
    });
    const requests = [
      guarded.create(target, {}, { signal }),
      guarded.mergePatch(target, {}, { signal }),
      guarded.jsonPatch(target, [], { signal }),
      guarded.remove(target, { preconditions: { uid: "u" } }, { signal }),
      guarded.get(target, { signal }),
    ];
    await until(() => waiting === requests.length);
    isHeld = false;
    reading.resolve();
    const refused = { status: "rejected", reason: lost };
    const read = { status: "fulfilled", value: {} };
    expect(await Promise.allSettled(requests)).toEqual([refused, refused, refused, refused, read]);
    isHeld = true;
    await guarded.create(target, {}, { signal });
    expect(asked).toEqual([
      "GET /api/v1/namespaces/team/pods/mnist-1-0",
      "POST /api/v1/namespaces/team/pods/mnist-1-0",
    ]);
    expect(seen).toEqual([200, 200]);
  });

  it("has the credentials read again where the server is not trusted", async () => {
    const distrust = Object.assign(new Error("self-signed"), { code: "SELF_SIGNED_CERT_IN_CHAIN" });
    const distrustful = new Agent({ connect: (_, callback) => callback(distrust, null) });
    dispatchers = [distrustful, distrustful];
    const error = await client.create(target, {}, { signal, tries: 2 }).catch((thrown: unknown) => thrown);
    expect([error, expired, asked]).toEqual([expect.any(NoAnswerError), 2, []]);
    await distrustful.destroy();
  });
});
