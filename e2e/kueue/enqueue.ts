import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { RunAccess } from "../harness/run-access.ts";
import type { Queue } from "./queue.ts";

type Wish = Readonly<{ name: string; manifest: Readonly<Record<string, unknown>>; priority?: string }>;

/** Creates a run in a queue, as a user does: by its labels. */
export async function enqueue(api: ApiClient, queue: Queue, { name, manifest, priority }: Wish): Promise<RunAccess> {
  const { namespace } = queue;
  const labels = {
    "kueue.x-k8s.io/queue-name": queue.name,
    ...(priority === undefined ? {} : { "kueue.x-k8s.io/priority-class": priority }),
  };
  const path = `/apis/trainingrun.dev/v1alpha1/namespaces/${namespace}/trainingruns`;
  await api.expect("POST", path, { ...manifest, metadata: { name, namespace, labels } });
  return new RunAccess(api, { namespace, name });
}
