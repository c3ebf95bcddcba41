import { observePod } from "../src/core/observe-pod.ts";
import type { ObservedPod } from "../src/core/observed.ts";
import { type Fields, runUid, start } from "./run-builder.ts";

/** A container status of a recorded pod shape. */
export function ended(name: string, exitCode: number, fields: Fields = {}): Fields {
  return {
    name,
    state: {
      terminated: {
        exitCode,
        reason: exitCode === 0 ? "Completed" : "Error",
        startedAt: at(5),
        finishedAt: at(100),
        ...fields,
      },
    },
  };
}

export function running(name: string, fields: Fields = {}): Fields {
  return { name, state: { running: { startedAt: at(5) } }, ...fields };
}

export function waiting(name: string, reason: string, message = ""): Fields {
  return { name, state: { waiting: { reason, message } } };
}

/** Seconds after the beginning of a test's time, as objects carry them. */
export function at(seconds: number): string {
  return new Date(start + seconds * 1000).toISOString().replace(".000Z", "Z");
}

/** A training pod as the API server gives it: bound to node-a, worker 0 of attempt 1, unless told otherwise. */
export function rawPod(fields: { metadata?: Fields; spec?: Fields; status?: Fields } = {}): Fields {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: "mnist-1-0",
      uid: "pod-1",
      resourceVersion: "7",
      creationTimestamp: at(1),
      finalizers: ["trainingrun.dev/accounting"],
      labels: { "trainingrun.dev/attempt": "1", "trainingrun.dev/worker": "0" },
      ownerReferences: [{ uid: runUid, controller: true }],
      ...fields.metadata,
    },
    spec: {
      nodeName: "node-a",
      terminationGracePeriodSeconds: 30,
      initContainers: [{ name: "agent" }],
      containers: [{ name: "trainer" }],
      ...fields.spec,
    },
    status: { phase: "Running", ...fields.status },
  };
}

/** The same, as the operator observes it. */
export function podWith(fields: Parameters<typeof rawPod>[0] = {}): ObservedPod {
  const pod = observePod(rawPod(fields));
  if (pod === null) throw new Error("The pod of the test cannot be read");
  return pod;
}
