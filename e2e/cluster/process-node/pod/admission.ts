import type { Pod } from "./pod.ts";
import type { Arrival } from "./pod-runner.ts";
import { parseQuantity } from "./quantity.ts";

/** What a node has, and who has it already. */
export interface Room {
  readonly active: readonly Pod[];
  readonly nodeName: string;
  readonly allocatable: Readonly<Record<string, string>>;
}

/**
 * Decides how a pod arrives. The scheduler counts too, but a pod may be bound past it, and then the node is the one
 * that says no.
 */
export function admit(pod: Pod, room: Room): Arrival {
  const wasHere = [...pod.status.initContainerStatuses, ...pod.status.containerStatuses].some(
    ({ containerID }) => containerID !== undefined,
  );
  // Containers end with their node. A pod that may be restarted is started anew; one that may not is over.
  if (wasHere && (pod.spec.restartPolicy === "Never" || pod.metadata.deletionTimestamp !== undefined)) {
    return { kind: "lost" };
  }
  for (const [resource, allocatable] of Object.entries(room.allocatable)) {
    const capacity = parseQuantity(allocatable);
    const used = room.active.reduce((sum, other) => sum + requested(other, resource), 0);
    const wanted = requested(pod, resource);
    if (wanted > 0 && used + wanted > capacity) {
      const message = `Node didn't have enough resource: ${resource}, requested: ${wanted}, used: ${used}, capacity: ${capacity}`;
      return { kind: "refused", verdict: { reason: `OutOf${resource}`, message } };
    }
  }
  return { kind: "new" };
}

/**
 * What a pod asks for: its main containers and sidecars together, or the largest of its init containers with the
 * sidecars before it, whichever is more.
 */
export function requested(pod: Pod, resource: string): number {
  if (resource === "pods") return 1;
  const amount = (container: Pod["spec"]["containers"][number]) =>
    parseQuantity(container.resources.requests?.[resource] ?? container.resources.limits?.[resource] ?? "0");
  let sidecars = 0;
  let largest = 0;
  for (const container of pod.spec.initContainers) {
    if (container.restartPolicy === "Always") sidecars += amount(container);
    largest = Math.max(largest, sidecars + (container.restartPolicy === "Always" ? 0 : amount(container)));
  }
  return Math.max(largest, sidecars + pod.spec.containers.reduce((sum, container) => sum + amount(container), 0));
}
