import { dirname, join } from "node:path";
import { ensureJobSet } from "../cluster/build/batch.ts";
import {
  type ControllerPlace,
  type Endpoints,
  ofOneProcess,
  type RunningController,
  startForeignController,
} from "../harness/foreign-controller.ts";
import type { WebhookRules } from "../harness/local-webhooks.ts";

/** Where JobSet is brought to, and how much it may ask of the API server. */
export type JobSetOptions = ControllerPlace & Readonly<{ requestsPerSecond: number; burst: number }>;

const objectSelector = { matchExpressions: [{ key: "jobset.sigs.k8s.io/jobset-name", operator: "Exists" }] };

/** JobSet's controller as a process on this machine. */
export async function startJobSet(options: JobSetOptions): Promise<RunningController> {
  const { requestsPerSecond, burst, signal } = options;
  const program = await ensureJobSet(console.error, signal);
  const manifests = dirname(program);
  const controller = {
    name: "jobset",
    program,
    definitions: [join(manifests, "jobset.x-k8s.io_jobsets.yaml")],
    webhooks: join(manifests, "manifests.yaml"),
    // Pods that are none of JobSet's go past its webhooks, as in what the project ships.
    choose: (rules: WebhookRules) =>
      rules.some(({ resources }) => resources.includes("pods")) ? { objectSelector } : {},
    configuration: (endpoints: Endpoints) => ({
      apiVersion: "config.jobset.x-k8s.io/v1alpha1",
      kind: "Configuration",
      ...ofOneProcess(endpoints),
      clientConnection: { qps: requestsPerSecond, burst },
    }),
  };
  return await startForeignController(controller, options);
}
