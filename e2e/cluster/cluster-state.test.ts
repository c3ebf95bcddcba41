import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { type ClusterState, readState, writeSettings, writeState } from "./cluster-state.ts";

const directory = mkdtempSync(join(tmpdir(), "trainingrun-state-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const state: ClusterState = {
  phase: "ready",
  way: "containers",
  kubeconfigPath: "/somewhere/kubeconfig",
  supervisor: { pid: 7, startTime: "70" },
  processes: [{ name: "etcd", pid: 8, startTime: "80" }],
  clusterNumber: 201,
  nodes: [{ name: "node-a", directory: "/somewhere/node-a", anchorPid: 9 }],
};

it("gives back the state that was written", async () => {
  expect(await readState(join(directory, "nothing"))).toBeUndefined();
  await writeState(directory, state);
  expect(await readState(directory)).toEqual(state);
});

it("refuses a state that it did not write", async () => {
  writeFileSync(join(directory, "state.json"), JSON.stringify({ ...state, clusterNumber: "../.." }));
  await expect(readState(directory)).rejects.toThrow("clusterNumber");
});

it("refuses a node whose name is no host name", async () => {
  const nodes = [{ name: "Node_A", resources: {} }];
  const settings = { way: "containers", nodes, processImages: {}, nodeMonitorGraceSeconds: 20, audit: "off" } as const;
  await expect(writeSettings(directory, settings)).rejects.toThrow("nodes");
});
