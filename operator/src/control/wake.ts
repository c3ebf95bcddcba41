import type { Change } from "../kubernetes/cache.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { keyOf } from "../kubernetes/kube-object.ts";
import type { WorkQueue } from "../kubernetes/work-queue.ts";
import type { Caches } from "./caches.ts";
import { runKeyOf } from "./pod-owner.ts";

type Watched = Pick<Caches, "runs" | "pods" | "claims" | "nodes">;

/** Queues every run that a change of the caches may concern, until what is returned is called. */
export function wakeOnChanges(caches: Watched, queue: Pick<WorkQueue, "add" | "forget">): () => void {
  const wake = (key: string) => queue.add(key);
  const ends = [
    caches.runs.listen((change) => {
      const key = keyOf(change.object);
      // What was asked for before is what failed: whoever mends his run does not wait for its back-off.
      if (isAnotherMatter(change)) queue.forget(key);
      wake(key);
    }),
    caches.pods.listen(({ object }) => wakeOwner(object, wake)),
    caches.claims.listen(({ object }) => {
      for (const run of caches.runs.find("claim", keyOf(object))) wake(keyOf(run));
    }),
    caches.nodes?.listen((change) => {
      if (change.kind === "Updated" && tellsTheSame(change.before, change.object)) return;
      for (const pod of caches.pods.find("node", change.object.metadata.name)) wakeOwner(pod, wake);
    }),
  ];
  return () => {
    for (const end of ends) end?.();
  };
}

/** Queues all that the caches hold: every run, and what pods say is their run, since that may be gone. */
export function wakeAll(caches: Pick<Watched, "runs" | "pods">, queue: Pick<WorkQueue, "add">): void {
  // All at once, and most of them have nothing to do: what happens from now on goes first.
  const wake = (key: string) => queue.add(key, "Patient");
  for (const run of caches.runs.all()) wake(keyOf(run));
  for (const pod of caches.pods.all()) wakeOwner(pod, wake);
}

/** A pod that went or ended, and a claim that went, count in no quota any more. */
export function makesRoom(change: Change<KubeObject>): boolean {
  if (change.kind === "Deleted") return true;
  return change.kind === "Updated" && hasEnded(change.object) && !hasEnded(change.before);
}

function hasEnded({ status }: KubeObject): boolean {
  const { phase = "" } = (status ?? {}) as { phase?: string };
  return phase === "Succeeded" || phase === "Failed";
}

/** A run that came, went, or is asked for something else than before. */
function isAnotherMatter(change: Change<KubeObject>): boolean {
  return change.kind !== "Updated" || change.before.metadata.generation !== change.object.metadata.generation;
}

function wakeOwner(pod: KubeObject, wake: (key: string) => void): void {
  const run = runKeyOf(pod);
  if (run !== undefined) wake(run);
}

// The kubelet's heartbeats change only times, every few minutes on every node.
function tellsTheSame(before: KubeObject, after: KubeObject): boolean {
  return JSON.stringify(summary(before)) === JSON.stringify(summary(after));
}

function summary(node: KubeObject): unknown {
  const { taints } = node.spec as { taints?: unknown };
  const { conditions } = node.status as { conditions?: readonly { type: string; status: string }[] };
  return [node.metadata.uid, taints, conditions?.map(({ type, status }) => [type, status])];
}
