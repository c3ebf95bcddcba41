import type { Container, Pod } from "./pod.ts";
import { parseQuantity } from "./quantity.ts";

/** What is known about a pod only on its node. */
export interface PodPlace {
  readonly nodeName: string;
  readonly hostIP: string;
  readonly podIP: string;
  /** What the node offers; a container without a limit may use all of it. */
  readonly allocatable: Readonly<Record<string, string>>;
}

/** Raised for a field that a container asks for and that the downward API does not offer. */
export class UnknownField extends Error {
  override readonly name = "UnknownField";
}

/**
 * The value of one `fieldRef`.
 *
 * @throws {UnknownField} when there is no such field.
 */
export function fieldValue(fieldPath: string, pod: Pod, place: PodPlace): string {
  const keyed = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(fieldPath);
  if (keyed?.[2] !== undefined) {
    return (keyed[1] === "labels" ? pod.metadata.labels : pod.metadata.annotations)[keyed[2]] ?? "";
  }
  const fields: Readonly<Record<string, string>> = {
    "metadata.name": pod.metadata.name,
    "metadata.namespace": pod.metadata.namespace,
    "metadata.uid": pod.metadata.uid,
    "metadata.labels": keyValueLines(pod.metadata.labels),
    "metadata.annotations": keyValueLines(pod.metadata.annotations),
    "spec.nodeName": place.nodeName,
    "spec.serviceAccountName": pod.spec.serviceAccountName,
    "status.podIP": place.podIP,
    "status.podIPs": place.podIP,
    "status.hostIP": place.hostIP,
    "status.hostIPs": place.hostIP,
  };
  const value = fields[fieldPath];
  if (value === undefined)
    throw new UnknownField(`Cannot resolve a fieldRef because there is no such field: ${fieldPath}`);
  return value;
}

/**
 * The value of one `resourceFieldRef`, rounded up to whole divisors.
 *
 * @throws {UnknownField} when the resource is neither a limit nor a request, or the container is unknown.
 */
export function resourceValue(
  reference: { resource: string; containerName?: string | undefined; divisor?: string | undefined },
  container: Container | undefined,
  place: PodPlace,
): string {
  const [kind, ...rest] = reference.resource.split(".");
  const name = rest.join(".");
  if (container === undefined || (kind !== "limits" && kind !== "requests")) {
    throw new UnknownField(`Cannot resolve a resourceFieldRef because there is no such field: ${reference.resource}`);
  }
  const unlimited = kind === "limits" ? place.allocatable[name] : undefined;
  const quantity = parseQuantity(container.resources[kind]?.[name] ?? unlimited ?? "0");
  const divisor = parseQuantity(reference.divisor ?? "0");
  return String(Math.ceil(quantity / (divisor === 0 ? 1 : divisor)));
}

function keyValueLines(map: Readonly<Record<string, string>>): string {
  return Object.keys(map)
    .sort()
    .map((key) => `${key}=${JSON.stringify(map[key])}`)
    .join("\n");
}
