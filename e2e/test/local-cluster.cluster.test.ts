import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { z } from "zod";
import { down, isRunning, up } from "../cluster/cluster.ts";
import { type ClusterState, readState } from "../cluster/cluster-state.ts";
import { type ApiClient, createApiClient } from "../cluster/control-plane/api-client.ts";
import { tracesOf } from "../cluster/host/traces.ts";
import { busyboxImage } from "../cluster/images/images.ts";
import { signalIfAlive } from "../cluster/processes/process-identity.ts";

const isRootOnLinux = process.platform === "linux" && process.getuid?.() === 0;
const pods = "/api/v1/namespaces/default/pods";
const claims = "/api/v1/namespaces/default/persistentvolumeclaims";
const waitMs = 30_000;
const port = { port: 29_500 };

describe.skipIf(!isRootOnLinux)("a cluster of container nodes", () => {
  const parent = mkdtempSync(join(tmpdir(), "trainingrun-cluster-"));
  const directory = join(parent, "cluster");
  let state: ClusterState;
  let client: ApiClient;

  beforeAll(async () => {
    state = await up({ directory, way: "containers" });
    client = await createApiClient(state.kubeconfigPath);
  });

  afterAll(async () => {
    await client?.close();
    await down({ directory });
    await rm(parent, { recursive: true, force: true });
  });

  it("has two ready nodes with a GPU each", async () => {
    const { items } = nodesSchema.parse(await client.expect("GET", "/api/v1/nodes"));
    expect(items.map(({ metadata, status }) => [metadata.name, status.allocatable["nvidia.com/gpu"]])).toEqual([
      ["node-a", "1"],
      ["node-b", "1"],
    ]);
  });

  it("lets a pod that is not root write to a new claim, survive as data, and be read on the other node", async () => {
    await client.expect("POST", claims, claim("data"));
    await client.expect(
      "POST",
      pods,
      pod({ name: "writer", node: "node-a", command: "echo kept > /data/file; sleep 600" }),
    );
    expect(await phaseReached(client, "writer", "Running")).toBe("Running");
    const [volume = ""] = readdirSync(join(directory, "volumes"));
    await expect
      .poll(() => readFileSync(join(directory, "volumes", volume, "run", "file"), "utf8"), { timeout: waitMs })
      .toBe("kept\n");

    await client.expect("POST", `${pods}/writer/eviction`, eviction("writer"));
    expect(await phaseReached(client, "writer", "gone")).toBe("gone");

    const command = 'test "$(cat /data/file)" = kept';
    await client.expect("POST", pods, pod({ name: "reader", node: "node-b", command }));
    expect(await phaseReached(client, "reader", "Succeeded")).toBe("Succeeded");

    await client.expect("DELETE", `${pods}/reader`);
    await client.expect("DELETE", `${claims}/data`);
    await expect.poll(() => readdirSync(join(directory, "volumes")), { timeout: waitMs }).toEqual([]);
  });

  it("lets pods reach the API server through its service", async () => {
    const command = 'nc -w 5 "$KUBERNETES_SERVICE_HOST" "$KUBERNETES_SERVICE_PORT" < /dev/null';
    await client.expect("POST", pods, pod({ name: "asker", node: "node-b", command }));
    expect(await phaseReached(client, "asker", "Succeeded")).toBe("Succeeded");
  });

  it("lets a pod find another by its host name in a headless service", async () => {
    const service = {
      metadata: { name: "gang" },
      spec: { clusterIP: "None", selector: { gang: "one" }, ports: [port] },
    };
    await client.expect("POST", "/api/v1/namespaces/default/services", service);
    const leader = pod({ name: "leader", node: "node-a", command: "sleep 600" });
    const gang = { metadata: { ...leader.metadata, labels: { gang: "one" } } };
    await client.expect("POST", pods, {
      ...leader,
      ...gang,
      spec: { ...leader.spec, hostname: "w0", subdomain: "gang" },
    });
    expect(await phaseReached(client, "leader", "Running")).toBe("Running");

    const command = "until nslookup w0.gang.default.svc.cluster.local; do sleep 1; done";
    await client.expect("POST", pods, pod({ name: "follower", node: "node-b", command }));
    expect(await phaseReached(client, "follower", "Succeeded")).toBe("Succeeded");
  });

  it("is taken as it is by a second `up`", async () => {
    expect(await up({ directory, way: "containers" })).toEqual(state);
  });

  it("ends without a trace although its supervisor was killed", async () => {
    await client.expect("POST", pods, pod({ name: "survivor", node: "node-a", command: "sleep 600" }));
    expect(await phaseReached(client, "survivor", "Running")).toBe("Running");
    const before = await tracesOf(directory);
    for (const kind of ["process", "network link", "cgroup", "directory"]) {
      expect(before.some((trace) => trace.startsWith(kind))).toBe(true);
    }

    if (state.supervisor !== undefined) signalIfAlive(state.supervisor, "SIGKILL");
    await expect.poll(async () => isRunning((await readState(directory)) ?? state), { timeout: waitMs }).toBe(false);
    await down({ directory });

    expect(await tracesOf(directory)).toEqual([]);
  });
});

const nodesSchema = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      status: z.object({ allocatable: z.record(z.string(), z.string()) }),
    }),
  ),
});
const podSchema = z.object({ status: z.object({ phase: z.string() }) });

/** Waits for a phase; returns the last one seen, so that a failure shows where the pod got stuck. */
async function phaseReached(client: ApiClient, name: string, wanted: string): Promise<string> {
  const end = performance.now() + waitMs;
  for (;;) {
    const answer = await client.request("GET", `${pods}/${name}`);
    const phase = answer.status === 404 ? "gone" : podSchema.parse(answer.body).status.phase;
    if (phase === wanted || performance.now() > end) return phase;
    await delay(100);
  }
}

function claim(name: string) {
  return { metadata: { name }, spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } } };
}

function pod({ name, node, command }: { name: string; node: string; command: string }) {
  const hasClaim = command.includes("/data");
  const volumeMounts = [{ name: "data", mountPath: "/data", subPath: "run" }];
  const volumes = [{ name: "data", persistentVolumeClaim: { claimName: "data" } }];
  return {
    metadata: { name },
    spec: {
      restartPolicy: "Never",
      terminationGracePeriodSeconds: 1,
      nodeSelector: { "kubernetes.io/hostname": node },
      securityContext: { runAsUser: 1000, runAsGroup: 1000, runAsNonRoot: true, fsGroup: 1000 },
      containers: [
        {
          name: "main",
          image: busyboxImage,
          command: ["/bin/sh", "-c", command],
          ...(hasClaim ? { volumeMounts } : {}),
        },
      ],
      ...(hasClaim ? { volumes } : {}),
    },
  };
}

function eviction(name: string) {
  return { apiVersion: "policy/v1", kind: "Eviction", metadata: { name, namespace: "default" } };
}
