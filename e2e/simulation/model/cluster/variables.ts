import { expand } from "../../../cluster/process-node/container/expansion.ts";
import { fieldValue, type PodPlace } from "../../../cluster/process-node/pod/downward.ts";
import type { Container, Pod } from "../../../cluster/process-node/pod/pod.ts";

/** The variables that a pod gives to a container: values, and fields of the pod itself. */
export function variablesOf(container: Container, pod: Pod, place: PodPlace): Readonly<Record<string, string>> {
  const variables = new Map<string, string>();
  for (const { name, value, valueFrom } of container.env) {
    const field = valueFrom?.fieldRef?.fieldPath;
    variables.set(name, field === undefined ? expand(value, variables) : fieldValue(field, pod, place));
  }
  return Object.fromEntries(variables);
}
