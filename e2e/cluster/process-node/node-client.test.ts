import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { stringify } from "yaml";
import { Gate } from "./gate.ts";
import { isNotFound, isOtherObject, NodeClient } from "./node-client.ts";

let directory: string;
let server: Server;
let client: NodeClient;
let answer: (response: ServerResponse) => void;
let requests = 0;
const gate = new Gate();

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "node-client-"));
  requests = 0;
  server = createServer((_, response) => {
    requests += 1;
    answer(response);
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot test without a port");
  const path = join(directory, "kubeconfig");
  const config = {
    "current-context": "c",
    contexts: [{ name: "c", context: { cluster: "c", user: "u" } }],
    clusters: [
      { name: "c", cluster: { server: `http://127.0.0.1:${address.port}`, "insecure-skip-tls-verify": true } },
    ],
    users: [{ name: "u", user: {} }],
  };
  await writeFile(path, stringify(config));
  client = await NodeClient.fromKubeconfig(path, gate);
});

afterEach(async () => {
  await client.close();
  server.close();
  await rm(directory, { recursive: true });
});

const get = { method: "GET", path: "/x" } as const;

test("sends nothing while the node is frozen, and all of it afterwards", async () => {
  answer = (response) => response.end('{"kind":"Lease"}');
  await client.call(get);
  gate.close();
  const held = client.call(get);
  const other = await fetch(`${client.server}/other`);
  await other.text();
  expect(requests).toBe(2);
  gate.open();
  expect(await held).toEqual({ kind: "Lease" });
  expect(requests).toBe(3);
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
