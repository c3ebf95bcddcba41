/** One kind of object as the API server addresses it. */
export type Resource = Readonly<{
  group: string;
  version: string;
  plural: string;
  kind: string;
  scope: "Namespaced" | "Cluster";
}>;

export const pods = { group: "", version: "v1", plural: "pods", kind: "Pod", scope: "Namespaced" } as const;
export const claims = {
  group: "",
  version: "v1",
  plural: "persistentvolumeclaims",
  kind: "PersistentVolumeClaim",
  scope: "Namespaced",
} as const;
export const services = { group: "", version: "v1", plural: "services", kind: "Service", scope: "Namespaced" } as const;
export const nodes = { group: "", version: "v1", plural: "nodes", kind: "Node", scope: "Cluster" } as const;
export const events = {
  group: "events.k8s.io",
  version: "v1",
  plural: "events",
  kind: "Event",
  scope: "Namespaced",
} as const;

/** `v1`, or `group/v1`. */
export function apiVersionOf(resource: Resource): string {
  return resource.group === "" ? resource.version : `${resource.group}/${resource.version}`;
}

/** Which object, or which collection where `name` is left out, and which part of it. */
export type Target = Readonly<{
  resource: Resource;
  namespace?: string | undefined;
  name?: string;
  subresource?: string;
}>;

/** The path of a target on the server; every part is escaped, so that no name can lead elsewhere. */
export function pathOf(target: Target): string {
  const { resource, namespace, name, subresource } = target;
  const parts = resource.group === "" ? ["api", resource.version] : ["apis", resource.group, resource.version];
  if (namespace !== undefined) parts.push("namespaces", namespace);
  parts.push(resource.plural);
  if (name !== undefined) parts.push(name);
  if (subresource !== undefined) parts.push(subresource);
  return `/${parts.map(encodeURIComponent).join("/")}`;
}

/** The target in words, for errors and logs: `pods team-a/mnist-1-0`. */
export function describe(target: Target): string {
  const where = [target.namespace, target.name].filter((part) => part !== undefined).join("/");
  const what =
    target.subresource === undefined ? target.resource.plural : `${target.resource.plural}/${target.subresource}`;
  return where === "" ? what : `${what} ${where}`;
}
