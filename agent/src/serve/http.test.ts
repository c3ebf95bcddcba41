import type { AddressInfo } from "node:net";
import { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { afterEach, expect, test } from "vitest";
import { podVariables } from "../../test/sample.ts";
import { readEnvironment } from "../environment.ts";
import { type Answers, listen } from "./http.ts";
import { nothingKnown } from "./knowledge.ts";
import { agentState } from "./report.ts";

const environment = readEnvironment(AgentEnvironment, podVariables("/trainingrun"));
const asked = "run=run-uid&pod=pod-1";
const open: (() => void)[] = [];

afterEach(() => {
  for (const close of open.splice(0)) close();
});

async function serve(over: Partial<Answers> = {}): Promise<{ base: string; saves: () => number }> {
  let saves = 0;
  const server = await listen(
    {
      runUid: "run-uid",
      podUid: "pod-1",
      state: async () => agentState(environment, nothingKnown, { progress: null, mirror: null }),
      metrics: async () => ({ contentType: "text/plain", text: "up 1\n" }),
      requestSave: async () => {
        saves += 1;
      },
      ...over,
    },
    { host: "127.0.0.1", port: 0 },
  );
  open.push(() => {
    server.close();
    server.closeAllConnections();
  });
  return { base: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, saves: () => saves };
}

test.each([
  ["GET", `/v1/state?${asked}`, 200, '"phase":"Restoring"'],
  ["GET", "/v1/state?run=run-uid", 400, "pod is missing"],
  ["GET", "/v1/state?pod=pod-1", 400, "run is missing"],
  [
    "GET",
    "/v1/state?run=other&pod=pod-1",
    409,
    "Cannot answer for run other because this agent belongs to run run-uid",
  ],
  ["GET", "/v1/state?run=run-uid&pod=pod-2", 409, "Cannot answer for pod pod-2"],
  ["POST", `/v1/state?${asked}`, 405, "takes GET only"],
  ["POST", `/v1/save?${asked}`, 202, '{"requested":true}'],
  ["POST", "/v1/save?run=run-uid&pod=pod-2", 409, "Cannot answer for pod pod-2"],
  ["GET", `/v1/save?${asked}`, 405, "takes POST only"],
  ["GET", "/healthz", 200, "ok"],
  ["GET", "/metrics", 200, "up 1"],
  ["GET", "/", 404, "no such path here: /"],
])("%s %s answers %d", async (method, path, status, words) => {
  const { base } = await serve();
  const response = await fetch(`${base}${path}`, { method });
  expect(await response.text()).toContain(words);
  expect(response.status).toBe(status);
});

test("a save asked of another pod is not passed on", async () => {
  const { base, saves } = await serve();
  await fetch(`${base}/v1/save?run=run-uid&pod=pod-2`, { method: "POST" });
  expect(saves()).toBe(0);
  await fetch(`${base}/v1/save?${asked}`, { method: "POST", body: "ignored" });
  expect(saves()).toBe(1);
});

test("a request whose answer fails is told so, and the next one is answered", async () => {
  const { base } = await serve({ metrics: () => Promise.reject(new Error("no registry")) });
  const response = await fetch(`${base}/metrics`);
  expect([response.status, await response.json()]).toEqual([500, { error: "no registry" }]);
  expect((await fetch(`${base}/healthz`)).status).toBe(200);
});

test("an address that is taken is an error of listen", async () => {
  const { base } = await serve();
  const port = Number(new URL(base).port);
  const again = listen({} as Answers, { host: "127.0.0.1", port });
  await expect(again).rejects.toThrow("EADDRINUSE");
});
