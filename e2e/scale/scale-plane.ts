import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isNotFound } from "@trainingrun/operator/kubernetes/api-error.ts";
import { ApiClient } from "@trainingrun/operator/kubernetes/client.ts";
import { Credentials } from "@trainingrun/operator/kubernetes/credentials.ts";
import { RequestLimit } from "@trainingrun/operator/kubernetes/request-limit.ts";
import type { ApiServer } from "../cluster/control-plane/api-server.ts";
import { startControlPlane } from "../cluster/control-plane/control-plane.ts";
import { WriteLog } from "./write-log.ts";

/** What every controller may ask of the API server, ours too: more than two cores of it can answer. */
export const raised = { requestsPerSecond: 500, burst: 1_000 } as const;

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
const accounts = {
  group: "",
  version: "v1",
  plural: "serviceaccounts",
  kind: "ServiceAccount",
  scope: "Namespaced",
} as const;
const accountTimeoutMs = 30_000;
/** Nobody renews the leases of fake nodes, and nobody is to miss them. */
const nodeMonitorGraceSeconds = 24 * 3600;

/** A control plane for one measurement, with a namespace in which everything happens and a count of the writes there. */
export class ScalePlane implements AsyncDisposable {
  readonly server: ApiServer;
  readonly credentials: Credentials;
  readonly namespace = "scale";
  readonly writes: WriteLog;
  readonly #directory: string;

  private constructor(directory: string, server: ApiServer, auditPath: string) {
    this.#directory = directory;
    this.server = server;
    this.credentials = new Credentials({ kind: "Kubeconfig", path: server.kubeconfigPath });
    this.writes = new WriteLog(auditPath, this.namespace);
  }

  /** Starts one of its own, whose controllers and scheduler are as fast as the API server lets them be. */
  static async start(signal: AbortSignal): Promise<ScalePlane> {
    const directory = await mkdtemp(join(tmpdir(), "trainingrun-scale-"));
    try {
      const auditPath = join(directory, "writes.log");
      const rates = [`--kube-api-qps=${raised.requestsPerSecond}`, `--kube-api-burst=${raised.burst}`];
      const server = await startControlPlane({
        directory,
        nodeMonitorGraceSeconds,
        extraArgs: await WriteLog.flags(auditPath),
        controllerManagerArgs: [...rates, "--concurrent-job-syncs=32"],
        schedulerArgs: rates,
        signal,
      });
      const plane = new ScalePlane(directory, server, auditPath);
      try {
        await plane.#prepare(signal);
        return plane;
      } catch (error) {
        await plane[Symbol.asyncDispose]();
        throw error;
      }
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** A client that no limit of its own holds up, under the name that its writes are counted by. */
  client(name: string): ApiClient {
    return new ApiClient({
      credentials: this.credentials,
      limit: new RequestLimit({ perSecond: 20_000, burst: 20_000, inFlight: 64 }),
      retry: { tries: 4, backoff: { firstMs: 50, maxMs: 1_000, random: Math.random }, longestRetryAfterMs: 5_000 },
      timeoutMs: 60_000,
      userAgent: name,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.credentials.close();
    await this.server.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  /** Pods are refused until the namespace has its account. */
  async #prepare(signal: AbortSignal): Promise<void> {
    const { namespace } = this;
    const client = this.client("scale");
    await client.create({ resource: namespaces }, { metadata: { name: namespace } }, { signal });
    const endsAt = performance.now() + accountTimeoutMs;
    const account = { resource: accounts, namespace, name: "default" };
    while ((await client.get(account, { signal }).catch(unlessMissing)) === undefined) {
      if (performance.now() > endsAt) throw new Error(`Cannot go on: namespace ${namespace} has no service account`);
      await delay(100, undefined, { signal });
    }
  }
}

function unlessMissing(error: unknown): undefined {
  if (!isNotFound(error)) throw error;
}
