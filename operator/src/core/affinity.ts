import { type Json, listOf, objectOf } from "./json.ts";

/**
 * The template's affinity with a wish: rather none of the named nodes. Only a wish, since the volume or the GPUs may
 * tie the pod to one of them, and a pod that fits nowhere would wait for ever.
 */
export function awayFromNodes(affinity: unknown, nodes: readonly string[]): Json {
  const wishes = nodes.map((name) => ({
    weight: 100,
    preference: { matchFields: [{ key: "metadata.name", operator: "NotIn", values: [name] }] },
  }));
  const nodeAffinity = objectOf(objectOf(affinity).nodeAffinity);
  const preferred = listOf(nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution);
  return {
    ...objectOf(affinity),
    nodeAffinity: { ...nodeAffinity, preferredDuringSchedulingIgnoredDuringExecution: [...preferred, ...wishes] },
  };
}
