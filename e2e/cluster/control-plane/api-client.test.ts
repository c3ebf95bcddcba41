import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stringify } from "yaml";
import { Gate } from "../process-node/gate.ts";
import { type ApiClient, createApiClient } from "./api-client.ts";
import { ApiUnreachable, isNotFound, isOtherObject } from "./api-error.ts";

let directory: string;
let server: Server;
let serverUrl: string;
let client: ApiClient;
let answer: (response: ServerResponse) => void;
let requests = 0;
let authorization: string | undefined;
const gate = new Gate();

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "trainingrun-api-client-"));
  requests = 0;
  server = createServer((request, response) => {
    requests += 1;
    authorization = request.headers.authorization;
    answer(response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot test without a port");
  serverUrl = `http://127.0.0.1:${address.port}`;
  client = await createApiClient(await kubeconfig({}), gate);
});

afterEach(async () => {
  await client.close();
  server.close();
  await rm(directory, { recursive: true });
});

/** A kubeconfig with a first context that leads nowhere and a current one of this user. */
async function kubeconfig(user: object): Promise<string> {
  const path = join(directory, "kubeconfig");
  const config = {
    "current-context": "here",
    contexts: ["nowhere", "here"].map((name) => ({ name, context: { cluster: name, user: name } })),
    clusters: [
      { name: "nowhere", cluster: { server: "http://127.0.0.1:1" } },
      { name: "here", cluster: { server: serverUrl, "insecure-skip-tls-verify": true } },
    ],
    users: [
      { name: "nowhere", user: { token: "somebody else's" } },
      { name: "here", user },
    ],
  };
  await writeFile(path, stringify(config));
  return path;
}

const get = { method: "GET", path: "/x" } as const;

test("sends nothing while the node is frozen, and all of it afterwards", async () => {
  answer = (response) => response.end('{"kind":"Lease"}');
  await client.call(get);
  gate.close();
  const held = client.call(get);
  // Another node's requests, sent later, have long been answered by then.
  const other = await createApiClient(await kubeconfig({}));
  for (let count = 0; count < 3; count += 1) await other.call(get);
  await other.close();
  expect(requests).toBe(4);
  gate.open();
  expect(await held).toEqual({ kind: "Lease" });
  expect(requests).toBe(5);
});

test.each<[string, number, string, (error: unknown) => boolean]>([
  ["an object that is not there", 404, "pods not found", isNotFound],
  ["a delete of another uid", 409, "Precondition failed: UID in precondition: a, UID in object meta: b", isOtherObject],
  ["a patch of another uid", 422, "metadata.uid: Invalid value: field is immutable", isOtherObject],
])("knows %s", async (_, status, message, isIt) => {
  answer = (response) => response.writeHead(status).end(JSON.stringify({ message }));
  const error: unknown = await client.call(get).catch((thrown: unknown) => thrown);
  expect(isIt(error)).toBe(true);
  expect(error).toHaveProperty("message", `Cannot GET /x because the API server answered ${status}: ${message}`);
});

test("does not take a lost race of two writers for another object", async () => {
  answer = (response) => response.writeHead(409).end('{"message":"the object has been modified"}');
  expect(isOtherObject(await client.call(get).catch((thrown: unknown) => thrown))).toBe(false);
});

test("gives the lines of an endless answer whole, and refuses one that breaks off inside a line", async () => {
  answer = (response) => {
    response.write('{"a"');
    response.end(":1}\n{}\n{");
  };
  const lines: string[] = [];
  const read = async () => {
    for await (const line of client.lines("/x", {}, new AbortController().signal)) lines.push(line);
  };
  await expect(read()).rejects.toThrow("ended inside a line: {");
  expect(lines).toEqual(['{"a":1}', "{}"]);
});

test.each<[string, object, string | undefined]>([
  ["nothing", {}, undefined],
  ["a token", { token: "own" }, "Bearer own"],
  ["a file that holds a token", { tokenFile: "token" }, "Bearer filed"],
])("asks as the user of the current context, known by %s", async (_, user, expected) => {
  answer = (response) => response.end("{}");
  await writeFile(join(directory, "token"), "filed");
  const other = await createApiClient(await kubeconfig(user));
  await other.expect("GET", "/x");
  await other.close();
  expect(authorization).toBe(expected);
});

test("gives a text as it stands, whatever the status", async () => {
  answer = (response) => response.writeHead(503, { "content-type": "text/plain" }).end("not yet");
  expect(await client.request("GET", "/readyz")).toEqual({ status: 503, body: "not yet" });
  await expect(client.expect("GET", "/readyz")).rejects.toThrow("the API server answered 503: not yet");
});

test.each<[string, (response: ServerResponse) => void]>([
  [
    "that breaks off",
    (response) => response.writeHead(200, { "content-length": 10 }).write("{", () => response.destroy()),
  ],
  ["that is cut short in good order", (response) => response.end('{"kind":')],
])("takes an answer %s for none", async (_, reply) => {
  answer = reply;
  await expect(client.call(get)).rejects.toThrow(ApiUnreachable);
});
