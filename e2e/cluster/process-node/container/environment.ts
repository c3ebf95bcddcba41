import { type Contents, type ObjectReader, Unavailable } from "../object-reader.ts";
import { fieldValue, type PodPlace, resourceValue } from "../pod/downward.ts";
import type { Container, EnvironmentVariable, Pod } from "../pod/pod.ts";
import { expand } from "./expansion.ts";

/** Where a container's variables come from. */
export interface EnvironmentSources {
  readonly pod: Pod;
  readonly container: Container;
  readonly place: PodPlace;
  readonly objects: Pick<ObjectReader, "configMap" | "secret">;
}

/**
 * The variables that a pod gives to a container: `envFrom` first, then `env`, in which later entries may refer to
 * earlier ones by `$(NAME)`.
 *
 * @throws {Unavailable} when a ConfigMap, a Secret or a key that is not optional is missing.
 */
export async function podVariables(sources: EnvironmentSources): Promise<Map<string, string>> {
  const variables = new Map<string, string>();
  for (const from of sources.container.envFrom) {
    const contents = await bulkContents(from, sources);
    for (const [key, value] of contents) variables.set(from.prefix + key, value.toString("utf8"));
  }
  for (const entry of sources.container.env) {
    const value = await variableValue(entry, variables, sources);
    if (value !== undefined) variables.set(entry.name, value);
  }
  return variables;
}

async function bulkContents(
  from: Container["envFrom"][number],
  { pod, objects }: EnvironmentSources,
): Promise<Contents> {
  const namespace = pod.metadata.namespace;
  if (from.configMapRef !== undefined) {
    return required(await objects.configMap(namespace, from.configMapRef.name), "configmap", from.configMapRef);
  }
  if (from.secretRef !== undefined) {
    return required(await objects.secret(namespace, from.secretRef.name), "secret", from.secretRef);
  }
  return new Map();
}

async function variableValue(
  entry: EnvironmentVariable,
  variables: ReadonlyMap<string, string>,
  { pod, container, place, objects }: EnvironmentSources,
): Promise<string | undefined> {
  const from = entry.valueFrom;
  const namespace = pod.metadata.namespace;
  if (from?.fieldRef !== undefined) return fieldValue(from.fieldRef.fieldPath, pod, place);
  if (from?.resourceFieldRef !== undefined) {
    const name = from.resourceFieldRef.containerName ?? container.name;
    const all = [...pod.spec.initContainers, ...pod.spec.containers];
    return resourceValue(
      from.resourceFieldRef,
      all.find((other) => other.name === name),
      place,
    );
  }
  if (from?.configMapKeyRef !== undefined) {
    return keyValue(await objects.configMap(namespace, from.configMapKeyRef.name), "configmap", from.configMapKeyRef);
  }
  if (from?.secretKeyRef !== undefined) {
    return keyValue(await objects.secret(namespace, from.secretKeyRef.name), "secret", from.secretKeyRef);
  }
  return expand(entry.value, variables);
}

function required(
  contents: Contents | undefined,
  kind: string,
  reference: { name: string; optional: boolean },
): Contents {
  if (contents !== undefined) return contents;
  if (reference.optional) return new Map();
  throw new Unavailable(`${kind} "${reference.name}" not found`);
}

function keyValue(
  contents: Contents | undefined,
  kind: string,
  reference: { name: string; key: string; optional: boolean },
): string | undefined {
  const value = required(contents, kind, reference).get(reference.key);
  if (value === undefined && !reference.optional) {
    throw new Unavailable(`couldn't find key ${reference.key} in ${kind} ${reference.name}`);
  }
  return value?.toString("utf8");
}
