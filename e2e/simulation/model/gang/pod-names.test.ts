import { pods, services } from "@trainingrun/operator/kubernetes/resource.ts";
import { describe, expect, test } from "vitest";
import type { Fields } from "../api/object.ts";
import { Store } from "../api/store.ts";
import { podAddress } from "./pod-names.ts";

const headless = { clusterIP: "None", publishNotReadyAddresses: true, selector: { run: "uid-1" } };

/** A name server's cluster: one Service, and the pod that it is to lead to. */
function cluster({ service = headless, pod = {} }: { service?: Fields; pod?: Fields } = {}): Store {
  const store = new Store();
  const metadata = { namespace: "team", resourceVersion: "" };
  const named = { ...metadata, name: "mnist", uid: "s" };
  store.put(services, { apiVersion: "v1", kind: "Service", metadata: named, spec: service });
  store.put(pods, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { ...metadata, name: "mnist-1-0", uid: "p", labels: { run: "uid-1" } },
    spec: { hostname: "mnist-1-0", subdomain: "mnist" },
    status: { podIP: "10.0.1.2" },
    ...pod,
  });
  return store;
}

const lookUp = (store: Store, name = "mnist-1-0.mnist") => podAddress(store, "team", name);

describe("the name of a worker", () => {
  test("leads to its pod before that is ready", () => {
    expect(lookUp(cluster())).toBe("10.0.1.2");
  });

  test.each<[string, Parameters<typeof cluster>[0], string?]>([
    ["there is no Service of its name", {}, "mnist-1-0.other"],
    ["no pod has the host name", {}, "mnist-1-1.mnist"],
    ["the Service has an address of its own", { service: { ...headless, clusterIP: "10.96.0.1" } }],
    ["the Service selects other pods", { service: { ...headless, selector: { run: "uid-2" } } }],
    ["the Service waits until pods are ready", { service: { ...headless, publishNotReadyAddresses: false } }],
    ["the pod has no such subdomain", { pod: { spec: { hostname: "mnist-1-0" } } }],
    ["the pod has no address yet", { pod: { status: {} } }],
  ])("leads nowhere where %s", (_, given, name) => {
    expect(lookUp(cluster(given), name)).toBeUndefined();
  });
});
