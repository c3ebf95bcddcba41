import { expect, test } from "vitest";
import { ended, podWith, rawPod, running } from "../../test/pod-builder.ts";
import { runWith } from "../../test/run-builder.ts";
import { observePod } from "./observe-pod.ts";
import { trainingPod } from "./pod.ts";

const mesh = { name: "mesh-proxy", image: "example.com/proxy", env: [{ name: "POD_NAME" }] };
const settings = { agentImage: "agent:1", agentImagePullPolicy: "IfNotPresent", agentResources: {} } as const;

test("the only container stays the trainer when admission puts another one beside it", () => {
  const run = runWith({
    spec: { template: { spec: { containers: [{ name: "train", image: "example.com/mnist" }] } } },
  });
  const entry = { number: 1, generation: 1, pods: [], startTime: "2026-01-01T00:00:00Z" };
  const { spec } = trainingPod({ run, entry, worker: 0, settings, avoidNodes: [] });
  const { containers } = spec as { containers: unknown[] };
  const pod = podWith({
    spec: { containers: [mesh, ...containers] },
    status: { containerStatuses: [running("mesh-proxy"), ended("train", 1)] },
  });
  expect(pod.trainer).toMatchObject({ name: "train", state: { kind: "Terminated", exitCode: 1 } });
  expect(pod.others).toMatchObject([{ name: "mesh-proxy", role: "Regular", state: { kind: "Running" } }]);
});

test("a pod in which nothing says which container trains is not read", () => {
  expect(observePod(rawPod({ spec: { containers: [mesh, { name: "train" }] } }))).toBeNull();
});
