import { join } from "node:path";
import { createApiClient } from "../cluster/control-plane/api-client.ts";
import { startKubeflowTrainer } from "../recovery/kubeflow-trainer.ts";
import type { ContenderStart } from "./contender.ts";
import { startJobSet } from "./jobset-controller.ts";
import { jobSetSpec } from "./jobset-spec.ts";
import { plainTemplate } from "./plain-template.ts";
import { raised } from "./scale-plane.ts";

const group = "trainer.kubeflow.org";
const namespaced = { group, version: "v1alpha1", scope: "Namespaced" } as const;
const trainJobs = { ...namespaced, plural: "trainjobs", kind: "TrainJob" } as const;
const runtimes = { ...namespaced, plural: "trainingruntimes", kind: "TrainingRuntime" } as const;
const apiVersion = `${group}/v1alpha1`;
const runtimeName = "restarting";

/** TrainJobs of a runtime with the restart rules of the JobSets; each becomes one. */
export const trainJobContender: ContenderStart = {
  name: "trainjob",
  start: async (plane, _pods, signal) => {
    const { server, namespace } = plane;
    const api = await createApiClient(server.kubeconfigPath);
    const place = (name: string) => {
      return { api, kubeconfigPath: server.kubeconfigPath, directory: join(server.directory, name), signal, ...raised };
    };
    await using starting = new AsyncDisposableStack();
    starting.defer(() => api.close());
    const jobSet = await startJobSet(place("jobset"));
    starting.defer(() => jobSet.stop());
    const trainer = await startKubeflowTrainer(place("kubeflow-trainer"));
    starting.defer(() => trainer.stop());
    const client = plane.client("scale");
    const runtime = {
      ...{ apiVersion, kind: runtimes.kind, metadata: { name: runtimeName } },
      spec: { mlPolicy: { numNodes: 1 }, template: { spec: jobSetSpec(nodeTemplate(), { job: "node", labels }) } },
    };
    await client.create({ resource: runtimes, namespace }, runtime, { signal });
    const started = starting.move();
    return {
      processes: [
        { name: "jobset", pid: jobSet.pid },
        { name: "kubeflow-trainer", pid: trainer.pid },
      ],
      create: async (name, signal) => {
        const spec = { runtimeRef: { kind: runtimes.kind, name: runtimeName } };
        const trainJob = { apiVersion, kind: trainJobs.kind, metadata: { name }, spec };
        await client.create({ resource: trainJobs, namespace }, trainJob, { signal });
      },
      objectOf: ({ metadata }) => metadata.labels?.["jobset.sigs.k8s.io/jobset-name"],
      lastWords: () => "",
      [Symbol.asyncDispose]: () => started.disposeAsync(),
    };
  },
};

/** Kubeflow finds the job that trains, and its container, by these. */
const labels = { [`${group}/trainjob-ancestor-step`]: "trainer" };

function nodeTemplate() {
  const { spec } = plainTemplate;
  return { spec: { ...spec, containers: spec.containers.map((container) => ({ ...container, name: "node" })) } };
}
