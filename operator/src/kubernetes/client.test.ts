import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent } from "undici";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
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

  beforeEach(async () => {
    asked = [];
    server = createServer((request, response) => {
      asked.push(`${request.method} ${request.url}`);
      answer(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    dispatcher = new Agent();
    const access: Access = { server: `http://127.0.0.1:${port}`, headers: {}, dispatcher };
    client = new ApiClient({
      credentials: { current: async () => access, expire: () => undefined },
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
});
