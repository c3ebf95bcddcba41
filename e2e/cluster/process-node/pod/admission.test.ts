import { describe, expect, test } from "vitest";
import { admit, requested } from "./admission.ts";
import { Pod } from "./pod.ts";

const gpu = "nvidia.com/gpu";
const room = { active: [], nodeName: "n1", allocatable: { cpu: "2", [gpu]: "1", pods: "2" } };
const container = (name: string, limits: Record<string, string>, more: object = {}) => ({
  name,
  resources: { limits },
  ...more,
});
const podWith = (spec: object, status: object = {}) =>
  Pod.parse({ metadata: { name: "p", uid: "u" }, spec: { containers: [], restartPolicy: "Never", ...spec }, status });
const started = { containerStatuses: [{ containerID: "process-node://1" }] };

describe("a pod that comes to a node", () => {
  test("is new when it fits", () => {
    expect(admit(podWith({ containers: [container("a", { [gpu]: "1" })] }), room)).toEqual({ kind: "new" });
  });

  test("is refused with the resource that is short, whoever bound it", () => {
    const holder = podWith({ containers: [container("a", { [gpu]: "1" })] });
    expect(admit(holder, { ...room, active: [holder] })).toEqual({
      kind: "refused",
      verdict: {
        reason: "OutOfnvidia.com/gpu",
        message: "Node didn't have enough resource: nvidia.com/gpu, requested: 1, used: 1, capacity: 1",
      },
    });
  });

  test("is refused when the node has its number of pods", () => {
    const small = podWith({});
    expect(admit(small, { ...room, active: [small, small] })).toMatchObject({ verdict: { reason: "OutOfpods" } });
  });

  test("is lost when it ran here before and must not run again", () => {
    expect(admit(podWith({}, started), room)).toEqual({ kind: "lost" });
    const deleted = {
      metadata: { name: "p", uid: "u", deletionTimestamp: "t" },
      spec: { containers: [] },
      status: started,
    };
    expect(admit(Pod.parse(deleted), room)).toEqual({ kind: "lost" });
  });

  test("is new when it ran here before and may run again", () => {
    expect(admit(podWith({ restartPolicy: "Always" }, started), room)).toEqual({ kind: "new" });
  });
});

describe("what a pod asks for", () => {
  const sidecar = { restartPolicy: "Always" };
  test.each([
    ["its main containers together", [], [container("a", { cpu: "1" }), container("b", { cpu: "500m" })], 1.5],
    ["an init container that asks for more", [container("i", { cpu: "3" })], [container("a", { cpu: "1" })], 3],
    ["main containers and sidecars", [container("s", { cpu: "1" }, sidecar)], [container("a", { cpu: "1" })], 2],
    [
      "an init container beside the sidecars before it",
      [container("s", { cpu: "1" }, sidecar), container("i", { cpu: "2" })],
      [container("a", { cpu: "1" })],
      3,
    ],
  ])("is %s", (_, initContainers, containers, expected) => {
    expect(requested(podWith({ initContainers, containers }), "cpu")).toBe(expected);
  });
});
