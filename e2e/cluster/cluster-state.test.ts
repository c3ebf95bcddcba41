import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { type ClusterState, hasCluster, readState, Unreadable, writeSettings, writeState } from "./cluster-state.ts";

const directory = mkdtempSync(join(tmpdir(), "trainingrun-state-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const state: ClusterState = {
  phase: "ready",
  way: "containers",
  directory: "/somewhere",
  kubeconfigPath: "/somewhere/kubeconfig",
  supervisor: { pid: 7, startTime: "70" },
  processes: [{ name: "etcd", pid: 8, startTime: "80" }],
  nodes: [{ name: "node-a", directory: "/somewhere/node-a", anchor: { pid: 9, startTime: "90" } }],
};

it("gives back the state that was written", async () => {
  expect(await readState(join(directory, "nothing"))).toBeUndefined();
  await writeState(directory, state);
  expect(await readState(directory)).toEqual(state);
});

it("refuses a state that it did not write", async () => {
  writeFileSync(join(directory, "state.json"), JSON.stringify({ ...state, supervisor: { pid: "all" } }));
  await expect(readState(directory)).rejects.toThrow(Unreadable);
  await expect(readState(directory)).rejects.toThrow("supervisor");
});

it("refuses a node whose name is no host name", async () => {
  const nodes = [{ name: "Node_A", resources: {} }];
  const settings = { way: "containers", nodes, processImages: {}, nodeMonitorGraceSeconds: 20, audit: "off" } as const;
  await expect(writeSettings(directory, settings)).rejects.toThrow("nodes");
});

it("knows a directory that a cluster was started in, also when its files are cut short", async () => {
  expect(hasCluster(join(directory, "nothing"))).toBe(false);
  writeFileSync(join(directory, "state.json"), "");
  await expect(readState(directory)).rejects.toThrow("`down` removes the cluster");
  expect(hasCluster(directory)).toBe(true);
});
