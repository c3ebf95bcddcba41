import { pods, services } from "@trainingrun/operator/kubernetes/resource.ts";
import { fieldsOf, listOf, type StoredObject } from "../api/object.ts";
import type { Store } from "../api/store.ts";

/** What the cluster's name server answers for `<hostname>.<service>` within a namespace: the address of a pod. */
export function podAddress(store: Store, namespace: string, name: string): string | undefined {
  const [hostname = "", subdomain = ""] = name.split(".");
  const service = store.get(services, `${namespace}/${subdomain}`)?.object;
  if (service === undefined) return undefined;
  const { selector, clusterIP, publishNotReadyAddresses } = fieldsOf(service.spec);
  if (clusterIP !== "None") return undefined;
  const wanted = Object.entries(fieldsOf(selector));
  const found = store.list(pods, namespace).find(({ object }) => {
    const { spec, metadata } = object;
    const named = fieldsOf(spec);
    const isNamed = named.hostname === hostname && named.subdomain === subdomain;
    const isPublished = publishNotReadyAddresses === true || isReady(object);
    return isNamed && isPublished && wanted.every(([label, value]) => metadata.labels?.[label] === value);
  });
  const { podIP } = fieldsOf(found?.object.status);
  return typeof podIP === "string" && podIP !== "" ? podIP : undefined;
}

function isReady({ status }: StoredObject): boolean {
  const conditions = listOf(fieldsOf(status).conditions).map(fieldsOf);
  return conditions.some(({ type, status: holds }) => type === "Ready" && holds === "True");
}
