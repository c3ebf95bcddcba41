import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listed, scriptedClient, until } from "../../test/scripted-client.ts";
import { labels } from "../api/names.ts";
import { observeClaim } from "../core/observe-cluster.ts";
import { claims, pods } from "../kubernetes/resource.ts";
import { Caches } from "./caches.ts";

const denied = 'pods is forbidden: User "operator" cannot list resource "pods" in the namespace "b"';

describe("the caches of several namespaces", () => {
  let isDenied: (path: string) => boolean;
  let caches: Caches;
  let stop: AbortController;
  let running: Promise<void>;
  let asked: string[];
  let held: readonly unknown[];

  function begin(namespaces: readonly string[]): void {
    const client = scriptedClient(({ path }) => {
      asked.push(path);
      if (isDenied(path)) return { status: 403, body: { kind: "Status", reason: "Forbidden", message: denied } };
      if (path.includes("watch=true")) return "Open";
      return listed(path, path.includes("/persistentvolumeclaims?") ? held : []);
    });
    const timing = { backoff: { firstMs: 1, maxMs: 5 } };
    caches = new Caches({ client, namespaces, watchNodes: true, onError: () => undefined, timing });
    running = caches.run(stop.signal);
  }

  beforeEach(() => {
    stop = new AbortController();
    asked = [];
    held = [];
    isDenied = (path) => path.includes("/namespaces/b/");
  });
  afterEach(async () => {
    stop.abort();
    await running;
  });

  it("are whole for one namespace while another is refused, and say so", async () => {
    begin(["a", "b"]);
    await until(() => caches.isSyncedFor("a") && caches.refused.size > 0);
    expect([caches.isSyncedFor("b"), caches.hasSynced]).toEqual([false, false]);
    expect([...caches.refused]).toEqual([["b", denied]]);
    expect(caches.needed.map(({ about }) => about)).toEqual([
      "trainingruns a",
      "pods a",
      "persistentvolumeclaims a",
      "nodes",
    ]);
  });

  it("serve a namespace from when it is shown", async () => {
    begin(["a", "b"]);
    await until(() => caches.refused.size > 0);
    isDenied = () => false;
    await until(() => caches.hasSynced);
    expect([caches.isSyncedFor("b"), caches.refused.size, caches.needed.length]).toEqual([true, 0, 7]);
  });

  it("are of no use where every namespace is refused", async () => {
    isDenied = (path) => path.includes("/namespaces/");
    begin(["a", "b"]);
    await until(() => caches.refused.size === 2);
    expect(caches.needed).toEqual(caches.reflectors);
  });

  it("wait for the nodes in every namespace", async () => {
    isDenied = (path) => path.includes("/nodes");
    begin(["a", "b"]);
    await until(() => asked.filter((path) => path.includes("watch=true")).length >= 6);
    expect([caches.isSyncedFor("a"), caches.refused.size, caches.needed.length]).toEqual([false, 0, 7]);
  });

  it("are fresh for who takes over, but for a namespace whose Role is gone", async () => {
    isDenied = () => false;
    begin(["a", "b"]);
    await until(() => caches.hasSynced);
    isDenied = (path) => path.includes("/namespaces/b/");
    const before = performance.now();
    const lists = asked.filter((path) => !path.includes("watch=true")).length;
    await caches.refresh(stop.signal);
    expect(asked.filter((path) => !path.includes("watch=true")).length - lists).toBeGreaterThanOrEqual(7);
    expect(caches.hasSeen(pods, "a", { resourceVersion: "999", at: before })).toBe(true);
    expect(caches.hasSeen(pods, "b", { resourceVersion: "999", at: before })).toBe(false);
  });

  it("keep of claims, which are those of the whole cluster, what runs are decided by", async () => {
    isDenied = () => false;
    const metadata = { name: "data", namespace: "a", uid: "u", resourceVersion: "1", labels: { app: "database" } };
    const annotations = { "kubectl.kubernetes.io/last-applied-configuration": "{}" };
    const spec = { accessModes: ["ReadWriteOnce"], volumeName: "pv-1", resources: { requests: { storage: "1Ti" } } };
    const status = { phase: "Bound", capacity: { storage: "1Ti" } };
    held = [{ metadata: { ...metadata, annotations }, spec, status }];
    begin(["a"]);
    await until(() => caches.hasSynced);
    const kept = { metadata, spec: { accessModes: ["ReadWriteOnce"] }, status: { phase: "Bound" } };
    expect(caches.claims.get("a/data")).toEqual(kept);
    expect(observeClaim(kept, "")).toEqual(observeClaim(held[0], ""));
  });

  it("show pods that say whose they are, and everything of the other kinds", () => {
    begin(["a"]);
    const metadata = { name: "o", namespace: "a", uid: "u", resourceVersion: "1" };
    const labelled = { metadata: { ...metadata, labels: { [labels.run]: "r" } } };
    const kept = [caches.keeps(pods, { metadata }), caches.keeps(pods, labelled), caches.keeps(claims, { metadata })];
    expect(kept).toEqual([false, true, true]);
  });
});
