import { once } from "node:events";
import { createServer, type IncomingMessage, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { answer } from "../../test/records.ts";
import { runUid } from "../../test/run-builder.ts";
import { AgentClient, AgentUnreachableError } from "./agent-client.ts";

const address = { ip: "127.0.0.1", runUid, podUid: "pod-1" };
const { signal } = new AbortController();

describe("asking the agent at an address", () => {
  let server: Server;
  let client: AgentClient;
  /** What whoever listens at the address says. */
  let said: Readonly<{ status: number; body: string }>;
  let asked: Pick<IncomingMessage, "method" | "url">[];

  beforeEach(async () => {
    said = { status: 200, body: JSON.stringify(answer()) };
    asked = [];
    server = createServer((request, response) => {
      asked.push({ method: request.method, url: request.url });
      response.writeHead(said.status, { "content-type": "application/json" }).end(said.body);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    client = new AgentClient({ timeoutMs: 5_000, port: (server.address() as AddressInfo).port });
  });
  afterEach(async () => {
    await client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it("names the agent that is meant, and believes what that one says", async () => {
    expect(await client.state(address, signal)).toEqual(answer());
    expect(asked).toEqual([{ method: "GET", url: `/v1/state?run=${runUid}&pod=pod-1` }]);
  });

  it.each([
    ["of another pod of the same run", { podUid: "pod-2" }],
    ["of another run", { runUid: "another" }],
  ])("believes nothing of an agent %s, whatever it was asked (I7)", async (_whose, own) => {
    said = { status: 200, body: JSON.stringify(answer(own)) };
    await expect(client.state(address, signal)).rejects.toThrow(AgentUnreachableError);
    await expect(client.state(address, signal)).rejects.toThrow("it is the agent of pod");
  });

  it.each([
    ["refuses because it is another", { status: 409, body: "this is the agent of pod-2" }, "it answered 409: this is"],
    ["says something else", { status: 200, body: "<html>" }, "its answer is no state"],
    ["says a state without its uids", { status: 200, body: '{"version":1}' }, "its answer is no state"],
    ["says too much", { status: 200, body: " ".repeat(2 ** 21) }, "longer than"],
  ])("takes one for out of reach that %s", async (_what, words, why) => {
    said = words;
    await expect(client.state(address, signal)).rejects.toThrow(why);
    await expect(client.state(address, signal)).rejects.toThrow(AgentUnreachableError);
  });

  it("takes one for out of reach where nobody listens, and says for which pod", async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    await expect(client.state(address, signal)).rejects.toThrow("Cannot ask the agent of pod pod-1 at 127.0.0.1");
  });

  it("asks for a save by name, and hears where it is refused", async () => {
    await client.requestSave(address, signal);
    expect(asked).toEqual([{ method: "POST", url: `/v1/save?run=${runUid}&pod=pod-1` }]);
    said = { status: 409, body: "" };
    await expect(client.requestSave(address, signal)).rejects.toThrow(AgentUnreachableError);
  });
});
