import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import { z } from "zod";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { until } from "../harness/run-access.ts";
import { PodView } from "../harness/run-view.ts";
import { findClaimDirectory } from "../harness/run-volume.ts";
import type { mnistManifest } from "./trained-run.ts";

const namespace = "default";
const core = `/api/v1/namespaces/${namespace}`;
const jobs = `/apis/batch/v1/namespaces/${namespace}/jobs`;
const mountPath = "/checkpoints";

/** A bound claim, and the directory of this machine behind it once a pod has used it. */
export type Claim = Readonly<{ name: string }>;

/** Creates a claim for Jobs to keep their checkpoints in. */
export async function createClaim(api: ApiClient, name: string): Promise<Claim> {
  await api.expect("POST", `${core}/persistentvolumeclaims`, {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name },
    spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
  });
  return { name };
}

/**
 * The container of a TrainingRun under a `batch/v1` Job, as someone without the operator would run it: disruptions do not
 * count against the back-off limit, the next pod waits for the end of the last, and the script resumes from the Job's own
 * folder of the claim.
 */
export class PlainJob {
  readonly #api: ApiClient;
  readonly #name: string;
  readonly #claim: Claim;
  #directory: string | undefined;

  constructor(api: ApiClient, { name, claim }: Readonly<{ name: string; claim: Claim }>) {
    this.#api = api;
    this.#name = name;
    this.#claim = claim;
  }

  async create({ spec: run }: Awaited<ReturnType<typeof mnistManifest>>): Promise<void> {
    const [trainer] = run.template.spec.containers;
    const env = z.array(z.unknown()).parse(trainer?.env);
    const container = {
      ...trainer,
      env: [...env, { name: "MNIST_CHECKPOINTS", value: `${mountPath}/${this.#name}` }],
      volumeMounts: [{ name: "checkpoints", mountPath }],
    };
    await this.#api.expect("POST", jobs, {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: { name: this.#name },
      spec: {
        backoffLimit: 6,
        podReplacementPolicy: "Failed",
        podFailurePolicy: {
          rules: [{ action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] }],
        },
        template: {
          spec: {
            ...run.template.spec,
            restartPolicy: "Never",
            containers: [container],
            volumes: [{ name: "checkpoints", persistentVolumeClaim: { claimName: this.#claim.name } }],
          },
        },
      },
    });
  }

  /** Epoch milliseconds of the first step that a process of the Job completed after an instant. */
  async firstStepAfter(instantMs: number, signal: AbortSignal): Promise<number> {
    let firstMs = Number.NaN;
    await until(`a first step of job ${this.#name}`, signal, async () => {
      const directory = await this.#findDirectory();
      if (directory === undefined) return false;
      const text = await readFile(join(directory, this.#name, "control", "progress.json"), "utf8").catch(() => "");
      if (text === "") return false;
      firstMs = Date.parse(Progress.parse(JSON.parse(text)).firstStep?.time ?? "");
      return firstMs > instantMs;
    });
    return firstMs;
  }

  /** Evicts the Job's live pod through the Eviction API. */
  async evict(): Promise<void> {
    const [pod] = await this.#livePods();
    if (pod === undefined) throw new Error(`Cannot evict: job ${this.#name} has no live pod`);
    const { name } = pod.metadata;
    await this.#api.expect("POST", `${core}/pods/${name}/eviction`, {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name, namespace },
    });
  }

  async remove(signal: AbortSignal): Promise<void> {
    await this.#api.expect("DELETE", `${jobs}/${this.#name}?propagationPolicy=Foreground`);
    await until(
      `job ${this.#name} to be gone`,
      signal,
      async () => (await this.#api.request("GET", `${jobs}/${this.#name}`)).status === 404,
    );
  }

  async #livePods(): Promise<readonly PodView[]> {
    const selector = encodeURIComponent(`batch.kubernetes.io/job-name=${this.#name}`);
    const list = z
      .object({ items: z.array(PodView) })
      .parse(await this.#api.expect("GET", `${core}/pods?labelSelector=${selector}`));
    return list.items.filter(
      ({ metadata, status }) => metadata.deletionTimestamp === undefined && status.phase === "Running",
    );
  }

  async #findDirectory(): Promise<string | undefined> {
    this.#directory ??= await findClaimDirectory(this.#api, namespace, this.#claim.name);
    return this.#directory;
  }
}
