import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { stringify } from "yaml";
import { down, up } from "../cluster.ts";
import { createApiClient } from "../control-plane/api-client.ts";
import { takeGivenCluster } from "./given-cluster.ts";

const directory = mkdtempSync(join(tmpdir(), "trainingrun-given-"));
let server: Server;
let url: string;
let asked: (string | undefined)[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    asked.push(request.headers.authorization);
    response.end("{}");
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot test without a port");
  url = `http://127.0.0.1:${address.port}`;
  // As kubectl has it: several files, and a path that starts where its file is.
  mkdirSync(join(directory, "home"));
  const files = [kubeconfig("one", { token: "one's" }), kubeconfig("two", { tokenFile: "token" })];
  const paths = files.map((_, index) => join(directory, "home", `config${index}`));
  for (const [index, path] of paths.entries()) writeFileSync(path, files[index] ?? "");
  writeFileSync(join(directory, "home", "token"), "two's");
  vi.stubEnv("KUBECONFIG", paths.join(delimiter));
});

afterEach(() => {
  asked = [];
});

afterAll(() => {
  vi.unstubAllEnvs();
  server.close();
  rmSync(directory, { recursive: true, force: true });
});

function kubeconfig(name: string, user: object): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    "current-context": name,
    contexts: [{ name, context: { cluster: name, user: name } }],
    clusters: [{ name, cluster: { server: url, "insecure-skip-tls-verify": true } }],
    users: [{ name, user }],
  });
}

it.each([
  { sentence: "the current context", context: undefined, token: "Bearer one's" },
  { sentence: "the one that was named, of another file", context: "two", token: "Bearer two's" },
])("takes $sentence, and keeps to it", async ({ context, token }) => {
  const { kubeconfigPath, phase } = await takeGivenCluster(directory, context);
  const client = await createApiClient(kubeconfigPath);
  await client.expect("GET", "/version");
  await client.close();
  expect([phase, asked]).toEqual(["ready", [token, token]]);
  expect(statSync(kubeconfigPath).mode & 0o777).toBe(0o600);
});

it("refuses a context that is not there, and names those that are", async () => {
  const take = takeGivenCluster(directory, "three");
  await expect(take).rejects.toThrow(/Cannot use context "three" of .*: it has one, two$/);
});

it("is one cluster for all who want one in a directory at once, and gone after `down`", async () => {
  const place = join(directory, "shared");
  const report = () => {};
  const states = await Promise.all([1, 2, 3].map(() => up({ directory: place, way: "given", context: "one", report })));
  // One of the three asked the API server; the others took what it found.
  expect([new Set(states.map((state) => JSON.stringify(state))).size, asked.length]).toEqual([1, 1]);
  await expect(up({ directory: place, way: "processes", report })).rejects.toThrow("by way of given runs there");
  await down({ directory: place, report });
  expect(existsSync(place)).toBe(false);
});

it("leaves nothing of a cluster that could not be taken", async () => {
  const place = join(directory, "refused");
  await expect(up({ directory: place, context: "three", report: () => {} })).rejects.toThrow('context "three"');
  expect(existsSync(place)).toBe(false);
});
