import type { KubeObject } from "../kubernetes/kube-object.ts";
import { keyOf } from "../kubernetes/kube-object.ts";
import { type Caches, trainingRuns } from "./caches.ts";

/** Calls `wake` with the key of every run that a change of the caches may concern. */
export function wakeOnChanges(caches: Caches, wake: (key: string) => void): void {
  caches.runs.listen(({ object }) => wake(keyOf(object)));
  caches.pods.listen(({ object }) => wakeOwner(object, wake));
  caches.claims.listen(({ object }) => {
    for (const run of caches.runs.find("claim", keyOf(object))) wake(keyOf(run));
  });
  caches.nodes?.listen((change) => {
    if (change.kind === "Updated" && tellsTheSame(change.before, change.object)) return;
    for (const pod of caches.pods.find("node", change.object.metadata.name)) wakeOwner(pod, wake);
  });
}

function wakeOwner(pod: KubeObject, wake: (key: string) => void): void {
  const owner = pod.metadata.ownerReferences?.find(({ controller }) => controller === true);
  if (owner?.kind === trainingRuns.kind) wake(`${pod.metadata.namespace}/${owner.name}`);
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
