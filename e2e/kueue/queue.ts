import { z } from "zod";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { until } from "../harness/run-access.ts";

const group = "/apis/kueue.x-k8s.io/v1beta2";
const apiVersion = "kueue.x-k8s.io/v1beta2";
const flavor = "any-node";

/** A queue of a namespace. */
export type Queue = Readonly<{ namespace: string; name: string }>;

/**
 * Makes a queue with room for so many GPUs, whose runs give way to runs of a higher priority. Of processors and memory it
 * has more than anybody asks for.
 */
export async function makeQueue(api: ApiClient, queue: Queue, gpus: number, signal: AbortSignal): Promise<void> {
  const { namespace, name } = queue;
  await api.expect("POST", `${group}/resourceflavors`, {
    apiVersion,
    kind: "ResourceFlavor",
    metadata: { name: flavor },
  });
  await api.expect("POST", `${group}/clusterqueues`, {
    apiVersion,
    kind: "ClusterQueue",
    metadata: { name },
    spec: { namespaceSelector: {}, preemption: { withinClusterQueue: "LowerPriority" }, ...roomFor(gpus) },
  });
  await api.expect("POST", `${group}/namespaces/${namespace}/localqueues`, {
    apiVersion,
    kind: "LocalQueue",
    metadata: { name, namespace },
    spec: { clusterQueue: name },
  });
  await until(`queue ${name} to be open`, signal, async () => {
    const { status } = Conditions.parse(
      await api.expect("GET", `${group}/namespaces/${namespace}/localqueues/${name}`),
    );
    return (status.conditions ?? []).some(({ type, status }) => type === "Active" && status === "True");
  });
}

/** Gives a queue room for so many GPUs. */
export async function resizeQueue(api: ApiClient, { name }: Queue, gpus: number): Promise<void> {
  await api.expect("PATCH", `${group}/clusterqueues/${name}`, { spec: roomFor(gpus) });
}

/** Makes a priority that runs in queues may have; without one it is 0. */
export async function makePriority(api: ApiClient, name: string, value: number): Promise<void> {
  const body = { apiVersion, kind: "WorkloadPriorityClass", metadata: { name }, value };
  await api.expect("POST", `${group}/workloadpriorityclasses`, body);
}

function roomFor(gpus: number) {
  const quota = { cpu: "1000", memory: "1Ti", "nvidia.com/gpu": String(gpus) };
  const resources = Object.entries(quota).map(([resource, nominalQuota]) => ({ name: resource, nominalQuota }));
  return { resourceGroups: [{ coveredResources: Object.keys(quota), flavors: [{ name: flavor, resources }] }] };
}

const Conditions = z.looseObject({
  status: z
    .looseObject({ conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).nullish() })
    .default({}),
});
