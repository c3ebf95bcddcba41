import { z } from "zod";
import { withSpec } from "../causes/manifests.ts";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";
import { type RunAccess, until } from "../harness/run-access.ts";
import { conditionOf } from "../harness/run-view.ts";
import { mnistManifest } from "../measure/trained-run.ts";
import { enqueue } from "./enqueue.ts";
import { type Queue, resizeQueue } from "./queue.ts";

/** What became of a gang that its queue has room for only later. */
export type PlayedGang = Readonly<{
  workers: number;
  /** How many of its pods were held back while there was room for one of them, and what the run said then. */
  held: number;
  waited: string;
  /** How many were held back still, once there was room for all. */
  heldLater: number;
}>;

const workers = 2;
const gate = "kueue.x-k8s.io/admission";

/**
 * A gang in a queue with room for one of its workers, and then for both. What is looked at is whether Kueue holds its pods
 * back; whether they then train is another matter. Leaves nothing of the run.
 */
export async function playGang(api: ApiClient, queue: Queue, signal: AbortSignal): Promise<PlayedGang> {
  const gang = await enqueue(api, queue, { name: "gang", manifest: await gangManifest() });
  let waited = "";
  await gang.waitFor("its queue's words on the gang", signal, (run) => {
    const progressing = conditionOf(run, "Progressing");
    waited = progressing?.reason === "SchedulingGated" ? progressing.message : "";
    return waited.includes("quota");
  });
  const held = await heldBack(api, gang);
  await resizeQueue(api, queue, workers);
  let heldLater = held;
  await until("the gang to be let go", signal, async () => {
    heldLater = await heldBack(api, gang);
    return heldLater === 0;
  });
  await gang.remove(signal);
  await until("the gang's pods to be gone", signal, async () => (await gang.pods()).length === 0);
  return { workers, held, waited, heldLater };
}

/** The example as a gang. Its script knows of none, and need not: it is not waited for. */
async function gangManifest(): ReturnType<typeof mnistManifest> {
  const claimTemplate = { accessModes: ["ReadWriteMany"], resources: { requests: { storage: "1Gi" } } };
  const checkpoint = { volume: { claimTemplate }, interval: { steps: 100 } };
  return withSpec(await mnistManifest({ env: {}, intervalSteps: 100 }), { workers, checkpoint });
}

async function heldBack(api: ApiClient, { name: { namespace, name } }: RunAccess): Promise<number> {
  const selector = encodeURIComponent(`trainingrun.dev/run=${name}`);
  const pods = Pods.parse(await api.expect("GET", `/api/v1/namespaces/${namespace}/pods?labelSelector=${selector}`));
  return pods.items.filter(({ spec }) => spec.schedulingGates.some(({ name }) => name === gate)).length;
}

const Pods = z.object({
  items: z.array(
    z.object({ spec: z.object({ schedulingGates: z.array(z.object({ name: z.string() })).default([]) }) }),
  ),
});
