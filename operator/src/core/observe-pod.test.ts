import { describe, expect, test } from "vitest";
import { failed, served } from "../../test/ended-pods.ts";
import { ended, podWith, rawPod, running, waiting } from "../../test/pod-builder.ts";
import { runWith } from "../../test/run-builder.ts";
import { observePod, observeRecorded } from "./observe-pod.ts";
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

describe("the record of a container that was started again", () => {
  const lastState = ended("agent", 1, failed("StorageUnavailable")).state;
  const earlier = { kind: "restore-failed", failure: "StorageUnavailable" };

  test.each([
    ["that runs is of its earlier life", running("agent"), null, earlier],
    ["that ended with a record is the newer one", ended("agent", 0, served(null)), { kind: "served" }, earlier],
    ["that ended without one is of its earlier life", ended("agent", 137), null, earlier],
    ["that has not begun again is its end", waiting("agent", "CrashLoopBackOff"), earlier, null],
  ])("%s", (_title, state, record, earlierRecord) => {
    const { agent } = podWith({ status: { initContainerStatuses: [{ ...state, lastState }] } });
    expect({ record: agent.record, earlierRecord: agent.earlierRecord }).toMatchObject({ record, earlierRecord });
  });
});

test("one object is read once, and told anew of each place and run that it is looked at for", () => {
  const raw = rawPod({ status: { phase: "Running" } });
  const [pod, again] = [observePod(raw), observePod(raw)];
  expect(again).toEqual(pod);
  expect(again?.trainer).toBe(pod?.trainer);
  const strange = observeRecorded(raw, runWith({ metadata: { uid: "another" } }), { attempt: 7, worker: 2 });
  expect(strange).toMatchObject({ attempt: 7, worker: 2, phase: "Running" });
  expect(strange?.altered).toContain("ownerReferences");
  expect(observePod(raw)).toEqual(pod);
  expect(observePod(rawPod({ status: { phase: "Failed" } }))?.phase).toBe("Failed");
});
