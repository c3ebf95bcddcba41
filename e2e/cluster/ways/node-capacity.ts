import { setTimeout as delay } from "node:timers/promises";
import { z } from "zod";
import type { ApiClient } from "../control-plane/api-client.ts";

/** Resources that a node says it has, beyond what its kubelet finds: `{ "nvidia.com/gpu": "1" }`. */
export type ExtendedResources = Readonly<Record<string, string>>;

const nodesSchema = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      status: z.object({ capacity: z.record(z.string(), z.string()).optional() }),
    }),
  ),
});
const lookAgainAfterMs = 2_000;

/** Writes the resources into the status of every named node that does not say them. The kubelet makes them allocatable. */
export async function advertise(client: ApiClient, nodes: ReadonlyMap<string, ExtendedResources>): Promise<void> {
  const { items } = nodesSchema.parse(await client.expect("GET", "/api/v1/nodes"));
  for (const { metadata, status } of items) {
    const wanted = Object.entries(nodes.get(metadata.name) ?? {});
    if (wanted.every(([resource, amount]) => status.capacity?.[resource] === amount)) continue;
    // The kubelet would make it allocatable too, ten seconds later.
    const resources = Object.fromEntries(wanted);
    const body = { status: { capacity: resources, allocatable: resources } };
    await client.expect("PATCH", `/api/v1/nodes/${metadata.name}/status`, body);
  }
}

/** Keeps advertising until aborted: a kubelet that starts anew takes back every resource that no device plugin backs. */
export async function keepAdvertising(
  client: ApiClient,
  nodes: ReadonlyMap<string, ExtendedResources>,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await advertise(client, nodes);
    } catch (error) {
      // An API server that is away, or a node that vanished between the two requests: the next look sees what is.
      if (!signal.aborted) console.error("Looking at the nodes' resources again soon:", error);
    }
    await delay(lookAgainAfterMs, undefined, { signal }).catch(() => {});
  }
}
