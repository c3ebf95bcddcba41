import { mkdirSync, mkdtempSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ApiClient, createApiClient } from "../cluster/control-plane/api-client.ts";
import { type ApiServer, startApiServer } from "../cluster/control-plane/api-server.ts";
import { createStorageClass, runProvisioner } from "../cluster/control-plane/provisioner.ts";
import { tracesOf } from "../cluster/host/traces.ts";

const waitMs = 30_000;
const directory = mkdtempSync(join(tmpdir(), "trainingrun-api-"));
afterAll(() => rm(directory, { recursive: true, force: true }));

describe("an API server of its own", () => {
  let api: ApiServer;
  let client: ApiClient;

  beforeAll(async () => {
    api = await startApiServer({ directory: join(directory, "first") });
    client = await createApiClient(api.kubeconfigPath);
  });

  afterAll(async () => {
    await client.close();
    await api.stop();
  });

  it("keeps its data when it and etcd are restarted", async () => {
    await client.expect("POST", "/api/v1/namespaces", { metadata: { name: "kept" } });
    await api.restart("etcd");
    await api.restart("kube-apiserver");
    expect(await client.request("GET", "/api/v1/namespaces/kept")).toMatchObject({ status: 200 });
  });

  it("does not get in the way of a second one, which leaves no process when it is stopped", async () => {
    const second = await startApiServer({ directory: join(directory, "second") });
    expect(second.server).not.toBe(api.server);
    expect(await tracesOf(second.directory)).toHaveLength(3);
    await second.stop();
    expect(await tracesOf(second.directory)).toEqual([`directory ${second.directory}`]);
  });

  it("that cannot start fails with the last words of what did not start, and leaves no process", async () => {
    const broken = join(directory, "broken");
    const start = startApiServer({ directory: broken, extraArgs: ["--no-such-flag"] });
    await expect(start).rejects.toThrow(/Cannot go on without kube-apiserver[\s\S]*unknown flag: --no-such-flag/);
    expect(await tracesOf(broken)).toEqual([`directory ${broken}`]);
  });

  it("serves claims with volumes although it is restarted meanwhile", async () => {
    const volumes = join(directory, "volumes");
    mkdirSync(volumes);
    const stopping = new AbortController();
    await createStorageClass(client);
    const provisioning = runProvisioner({ client, directory: volumes }, stopping.signal);

    await claim("before");
    await expect.poll(() => readdirSync(volumes), { timeout: waitMs }).toHaveLength(1);
    await api.restart("kube-apiserver");
    await claim("after");
    await expect.poll(() => readdirSync(volumes), { timeout: waitMs }).toHaveLength(2);

    for (const name of readdirSync(volumes)) {
      const path = `/api/v1/persistentvolumes/${name}`;
      await expect.poll(async () => (await client.request("GET", path)).status, { timeout: waitMs }).toBe(200);
      // No controller runs here to say that the claim is gone, so the test does.
      await client.expect("PATCH", `${path}/status`, { status: { phase: "Released" } });
    }
    await expect.poll(() => readdirSync(volumes), { timeout: waitMs }).toEqual([]);

    stopping.abort();
    await provisioning;
  });

  /** A claim as the controllers leave it for a provisioner when a pod that uses it was given a node. */
  async function claim(name: string): Promise<void> {
    const annotations = {
      "volume.kubernetes.io/storage-provisioner": "trainingrun.dev/directory",
      "volume.kubernetes.io/selected-node": "node-a",
    };
    await client.expect("POST", "/api/v1/namespaces/default/persistentvolumeclaims", {
      metadata: { name, annotations },
      spec: {
        storageClassName: "standard",
        accessModes: ["ReadWriteOnce"],
        resources: { requests: { storage: "1Gi" } },
      },
    });
  }
});
