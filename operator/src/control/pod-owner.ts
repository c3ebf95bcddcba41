import { kind, labels } from "../api/names.ts";
import { controllerUid, type KubeObject } from "../kubernetes/kube-object.ts";

/** `namespace/name` of the run that a pod is of: by who controls it, and where nobody does, by its label. */
export function runKeyOf(pod: KubeObject): string | undefined {
  const { namespace, ownerReferences, labels: carried } = pod.metadata;
  const owner = ownerReferences?.find(({ controller }) => controller === true);
  if (owner !== undefined && owner.kind !== kind) return undefined;
  const name = owner?.name ?? carried?.[labels.run];
  return name === undefined ? undefined : `${namespace}/${name}`;
}

/** Uid of the run that a pod is of, by the same. */
export function runUidOf(pod: KubeObject): string | undefined {
  return controllerUid(pod) ?? pod.metadata.labels?.[labels.runUid];
}
