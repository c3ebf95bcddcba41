import { describe, expect, test } from "vitest";
import { Pod } from "../pod/pod.ts";
import { podVariables } from "./environment.ts";

const place = { nodeName: "n1", hostIP: "127.0.1.1", podIP: "127.1.0.7", allocatable: { cpu: "4", memory: "8Gi" } };
const objects = {
  configMap: async (_: string, name: string) => (name === "config" ? contents({ a: "1", b: "2" }) : undefined),
  secret: async (_: string, name: string) => (name === "secret" ? contents({ key: "hidden" }) : undefined),
};

function contents(data: Record<string, string>) {
  return new Map(Object.entries(data).map(([key, value]) => [key, Buffer.from(value)]));
}

async function variablesOf(container: object) {
  const labels = { app: "trainer", tier: 'a"b' };
  const pod = Pod.parse({
    metadata: { name: "run-1-0", namespace: "team", uid: "u-1", labels, annotations: { "x.dev/note": "hi" } },
    spec: { containers: [{ name: "main", resources: { limits: { cpu: "1500m" } }, ...container }] },
  });
  const [main] = pod.spec.containers;
  if (main === undefined) throw new Error("Cannot test without a container");
  return Object.fromEntries(await podVariables({ pod, container: main, place, objects }));
}

const field = (fieldPath: string) => ({ env: [{ name: "X", valueFrom: { fieldRef: { fieldPath } } }] });
const resource = (name: string, divisor?: string) => ({
  env: [{ name: "X", valueFrom: { resourceFieldRef: { resource: name, divisor } } }],
});

describe("a container's variables", () => {
  test.each([
    ["metadata.name", "run-1-0"],
    ["metadata.namespace", "team"],
    ["metadata.uid", "u-1"],
    ["metadata.labels['app']", "trainer"],
    ["metadata.labels['absent']", ""],
    ["metadata.annotations['x.dev/note']", "hi"],
    ["metadata.labels", 'app="trainer"\ntier="a\\"b"'],
    ["spec.nodeName", "n1"],
    ["status.podIP", "127.1.0.7"],
    ["status.hostIP", "127.0.1.1"],
  ])("take the field %s", async (fieldPath, expected) => {
    expect(await variablesOf(field(fieldPath))).toEqual({ X: expected });
  });

  test.each([
    ["limits.cpu, rounded up to whole units", "limits.cpu", undefined, "2"],
    ["limits.cpu in millis", "limits.cpu", "1m", "1500"],
    ["limits.memory, the node's where there is no limit", "limits.memory", "1Gi", "8"],
    ["requests.memory, nothing where there is no request", "requests.memory", undefined, "0"],
  ])("take the resource %s", async (_, name, divisor, expected) => {
    expect(await variablesOf(resource(name, divisor))).toEqual({ X: expected });
  });

  test("refer to those before them, and those in env outweigh those in envFrom", async () => {
    const envFrom = [{ prefix: "C_", configMapRef: { name: "config" } }, { secretRef: { name: "secret" } }];
    const env = [
      { name: "C_b", value: "3" },
      { name: "SUM", value: "$(C_a)+$(C_b)+$(LATER)" },
      { name: "LATER", value: "4" },
    ];
    expect(await variablesOf({ envFrom, env })).toEqual({
      C_a: "1",
      C_b: "3",
      key: "hidden",
      SUM: "1+3+$(LATER)",
      LATER: "4",
    });
  });

  test("leave out what is optional and not there", async () => {
    const key = (name: string) => ({
      name,
      valueFrom: { configMapKeyRef: { name: "absent", key: "a", optional: true } },
    });
    const envFrom = [{ secretRef: { name: "absent", optional: true } }];
    expect(await variablesOf({ envFrom, env: [key("X")] })).toEqual({});
  });

  test.each([
    ["a ConfigMap", { configMapKeyRef: { name: "absent", key: "a" } }, 'configmap "absent" not found'],
    ["a Secret", { secretKeyRef: { name: "absent", key: "a" } }, 'secret "absent" not found'],
    ["a key", { configMapKeyRef: { name: "config", key: "z" } }, "couldn't find key z in configmap config"],
    ["a field", { fieldRef: { fieldPath: "spec.color" } }, "there is no such field: spec.color"],
    ["a resource", { resourceFieldRef: { resource: "wishes.cpu" } }, "there is no such field: wishes.cpu"],
  ])("cannot be had without %s that is missing", async (_, valueFrom, message) => {
    await expect(variablesOf({ env: [{ name: "X", valueFrom }] })).rejects.toThrow(message);
  });
});
