import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import { type Manifest, withPod, withSpec } from "../causes/manifests.ts";
import type { ApiClient } from "../cluster/control-plane/api-client.ts";

const queueLabel = "kueue.x-k8s.io/queue-name";
const groupLabel = "kueue.x-k8s.io/pod-group-name";
const gate = "kueue.x-k8s.io/admission";
/** Kueue's scheduler tries what waits each time that something ends. */
const everyMs = 15_000;

/** The run as one whose pods Kueue holds back from their beginning. No Kueue is there to let them go. */
export function held(manifest: Manifest): Manifest {
  const { template } = manifest.spec;
  const labelled = withSpec(manifest, { template: { ...template, metadata: { labels: { [queueLabel]: "gpus" } } } });
  return withPod(labelled, { schedulingGates: [{ name: gate }] });
}

/**
 * Does something while others come and go in the queue, of which the pods that wait there are told as Kueue does it: in
 * events about the object that it keeps for each, whose amounts differ from one to the next.
 */
export async function whileOthersComeAndGo<T>(
  api: ApiClient,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const over = new AbortController();
  const until = AbortSignal.any([signal, over.signal]);
  const playing = play(api, until).catch((error: unknown) => {
    over.abort(error);
    throw error;
  });
  const [done] = await Promise.all([work(until).finally(() => over.abort()), playing]);
  return done;
}

async function play(api: ApiClient, signal: AbortSignal): Promise<void> {
  const path = `/api/v1/pods?labelSelector=${encodeURIComponent(queueLabel)}`;
  for (let round = 0; !signal.aborted; round += 1) {
    const { items } = Pods.parse(await api.expect("GET", path));
    for (const event of queueEvents(items, { round, now: new Date() })) {
      const { namespace } = event.metadata;
      await api.expect("POST", `/apis/events.k8s.io/v1/namespaces/${namespace}/events`, event);
    }
    await wait(everyMs, undefined, { signal }).catch(() => undefined);
  }
}

const QueuedPod = z.object({
  metadata: z.object({ name: z.string(), namespace: z.string(), labels: z.record(z.string(), z.string()) }),
});
const Pods = z.object({ items: z.array(QueuedPod) });

/** What is said of these pods in one round: once of each that waits alone, and once of each group. */
export function queueEvents(
  pods: readonly z.infer<typeof QueuedPod>[],
  { round, now }: Readonly<{ round: number; now: Date }>,
) {
  const places = new Map(
    pods.map(({ metadata: { name, namespace, labels } }) => {
      const kept = labels[groupLabel] ?? `pod-${name}-a1b2c`;
      return [`${namespace}/${kept}`, { namespace, name: kept }] as const;
    }),
  );
  const amount = 1 + (round % 7);
  return [...places.values()].map(({ namespace, name }) => ({
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { name: `${name}.${now.getTime().toString(16)}`, namespace },
    // To the microsecond, or the API server does not take it.
    eventTime: now.toISOString().replace("Z", "000Z"),
    type: "Warning",
    reason: "Pending",
    action: "Pending",
    reportingController: "kueue-admission",
    reportingInstance: "kueue-admission-quiet",
    regarding: { apiVersion: "kueue.x-k8s.io/v1beta2", kind: "Workload", namespace, name },
    note: `couldn't assign flavors to pod set main: insufficient unused quota for nvidia.com/gpu in flavor any-node, ${amount} more needed`,
  }));
}
