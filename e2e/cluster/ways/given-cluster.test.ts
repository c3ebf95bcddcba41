import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { afterAll, afterEach, beforeAll, expect, it, vi } from "vitest";
import { stringify } from "yaml";
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
