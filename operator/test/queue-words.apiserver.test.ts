import { expect, it } from "vitest";
import { Problems } from "../src/control/problems.ts";
import { useApiServer } from "./api-server.ts";

const namespaces = { group: "", version: "v1", plural: "namespaces", kind: "Namespace", scope: "Cluster" } as const;
/** Kueue speaks of events as they were before they had a group. */
const coreEvents = { group: "", version: "v1", plural: "events", kind: "Event", scope: "Namespaced" } as const;
const forever = { signal: new AbortController().signal };
const api = useApiServer();

it("reads what Kueue says of the object that it keeps for a pod, and of no other", async () => {
  const namespace = `queue-${process.pid}`;
  await api.direct.create({ resource: namespaces }, { metadata: { name: namespace } }, forever);
  const says = (name: string, fields: Record<string, unknown>) => {
    const time = new Date().toISOString().replace(/\.\d+/, "");
    const event = {
      metadata: { name, namespace },
      involvedObject: {
        apiVersion: "kueue.x-k8s.io/v1beta1",
        kind: "Workload",
        namespace,
        name: "pod-mnist-1-0-a1b2c",
      },
      type: "Warning",
      reason: "Pending",
      message: name,
      source: { component: "kueue-admission" },
      firstTimestamp: time,
      lastTimestamp: time,
      count: 1,
      ...fields,
    };
    return api.direct.create({ resource: coreEvents, namespace }, event, forever);
  };
  await says("no-room", {});
  await says("admitted", { reason: "Admitted", type: "Normal" });
  await says("of-a-pod", { involvedObject: { apiVersion: "v1", kind: "Pod", namespace, name: "pod-mnist-1-0-a1b2c" } });
  const logged: string[] = [];
  const problems = new Problems({ client: api.direct, log: (_, message) => logged.push(message) });
  const alone = (name: string) => ({ uid: `uid of ${name}`, name, queueGroup: null, told: "" });
  expect(await problems.ofQueued(alone("mnist-1-0"), namespace, forever)).toBe("no-room");
  expect(await problems.ofQueued(alone("mnist-2-0"), namespace, forever)).toBe("");
  expect(logged).toEqual([]);
});
