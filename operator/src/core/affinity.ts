import { type Json, listOf, objectOf } from "./json.ts";

/** The template's affinity, narrowed: none of the named nodes. Node selector terms are alternatives, so each is narrowed. */
export function awayFromNodes(affinity: unknown, nodes: readonly string[]): Json {
  const requirements = nodes.map((name) => ({ key: "metadata.name", operator: "NotIn", values: [name] }));
  const nodeAffinity = objectOf(objectOf(affinity).nodeAffinity);
  const required = objectOf(nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution);
  const terms = listOf(required.nodeSelectorTerms);
  const narrowed = (terms.length > 0 ? terms : [{}]).map((term) => {
    const fields = objectOf(term);
    return { ...fields, matchFields: [...listOf(fields.matchFields), ...requirements] };
  });
  return {
    ...objectOf(affinity),
    nodeAffinity: {
      ...nodeAffinity,
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: narrowed },
    },
  };
}
