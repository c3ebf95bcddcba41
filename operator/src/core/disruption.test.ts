import { describe, expect, test } from "vitest";
import { absent, dead, deleted, disruption, nodeWith, preempted, skewed } from "../../test/ended-pods.ts";
import { decideOn, living } from "../../test/observed-builder.ts";
import { at, ended, podWith, running } from "../../test/pod-builder.ts";
import type { Fields } from "../../test/run-builder.ts";
import { type Cause, chargeOfCause } from "../api/cause.ts";
import { disruptionOf, vanished } from "./disruption.ts";
import type { ObservedNode } from "./observed.ts";

type Case = Readonly<{
  title: string;
  pod: Fields;
  metadata?: Fields;
  node?: ObservedNode;
  cause: Cause;
  reason: string;
}>;

const failed = (trainer: Fields, rest: Fields = {}) => dead(trainer, undefined, rest);
const condition = (reason: string, rest: Fields = {}) =>
  failed(ended("trainer", 143), { conditions: disruption(reason), ...rest });

const cases: readonly Case[] = [
  {
    title: "an eviction through the API",
    pod: condition("EvictionByEvictionAPI"),
    metadata: deleted,
    cause: "Drained",
    reason: "EvictionByEvictionAPI",
  },
  {
    title: "a taint that drives pods away",
    pod: condition("DeletionByTaintManager"),
    metadata: deleted,
    cause: "NodeLost",
    reason: "DeletionByTaintManager",
  },
  {
    title: "a pod collected after its node",
    pod: dead(running("trainer"), running("agent"), { conditions: disruption("DeletionByPodGC") }),
    cause: "NodeLost",
    reason: "DeletionByPodGC",
  },
  {
    title: "node pressure",
    pod: condition("TerminationByKubelet", { reason: "Evicted" }),
    cause: "NodePressure",
    reason: "TerminationByKubelet",
  },
  {
    title: "node pressure without the condition",
    pod: failed(ended("trainer", 137), { reason: "Evicted" }),
    cause: "NodePressure",
    reason: "Evicted",
  },
  {
    title: "a node that shuts down",
    pod: condition("TerminationByKubelet", { reason: "Terminated" }),
    cause: "NodeShutdown",
    reason: "TerminationByKubelet",
  },
  {
    title: "a kubelet that makes room for a critical pod",
    pod: failed(ended("trainer", 143), { reason: "Preempting" }),
    cause: "Preempted",
    reason: "Preempting",
  },
  {
    title: "a pod past its own deadline, whose trainer wrote that it was stopped",
    pod: failed(ended("trainer", 143, preempted), { reason: "DeadlineExceeded" }),
    cause: "PodDeadlineExceeded",
    reason: "DeadlineExceeded",
  },
  {
    title: "a pod past its own deadline, whose trainer was killed",
    pod: failed(ended("trainer", 137), { reason: "DeadlineExceeded" }),
    cause: "PodDeadlineExceeded",
    reason: "DeadlineExceeded",
  },
  {
    title: "a deletion by somebody",
    pod: failed(ended("trainer", 143)),
    metadata: deleted,
    cause: "Deleted",
    reason: "PodDeleted",
  },
  {
    title: "an exit in the very second of a deletion",
    pod: failed(ended("trainer", 1)),
    metadata: { deletionTimestamp: at(130), deletionGracePeriodSeconds: 30 },
    cause: "Deleted",
    reason: "PodDeleted",
  },
  {
    title: "a deletion by somebody, although the node's clock says the trainer ended before it",
    pod: failed(ended("trainer", 143)),
    metadata: skewed,
    cause: "Deleted",
    reason: "PodDeleted",
  },
  {
    title: "a trainer killed at the end of its grace period on a node whose clock is late",
    pod: failed(ended("trainer", 137)),
    metadata: skewed,
    cause: "Deleted",
    reason: "PodDeleted",
  },
  {
    title: "a trainer that wrote that it was stopped and ended in its own way on a node whose clock is late",
    pod: failed(ended("trainer", 1, preempted)),
    metadata: skewed,
    cause: "Deleted",
    reason: "PodDeleted",
  },
  {
    title: "a trainer that said nothing and exited 0 after a deletion, on a node whose clock shows that it is late",
    pod: failed(ended("trainer", 0), { startTime: at(-3_598) }),
    metadata: { deletionTimestamp: at(3_730), deletionGracePeriodSeconds: 30 },
    cause: "Deleted",
    reason: "PodDeleted",
  },
  {
    title: "a SIGTERM that came with no deletion and no word of the node",
    pod: failed(ended("trainer", 143, preempted)),
    cause: "Signalled",
    reason: "SignalReceived",
  },
  {
    title: "a node that was started again under its containers",
    pod: failed(ended("trainer", 255, { reason: "Unknown" })),
    cause: "NodeLost",
    reason: "Unknown",
  },
  {
    title: "a node that was deleted",
    pod: { phase: "Running", containerStatuses: [running("trainer")] },
    node: absent,
    cause: "NodeLost",
    reason: "NodeGone",
  },
  {
    title: "a node that a person took out of service",
    pod: { phase: "Running" },
    node: nodeWith({ ready: "Unknown", outOfService: true }),
    cause: "NodeLost",
    reason: "NodeOutOfService",
  },
  {
    title: "a container that its node lost track of",
    pod: failed(ended("trainer", 137, { reason: "ContainerStatusUnknown" })),
    cause: "NodeLost",
    reason: "ContainerStatusUnknown",
  },
];

describe("what disrupted a pod", () => {
  test.each(cases)("$title", ({ pod, metadata = {}, node, cause, reason }) => {
    expect(disruptionOf(podWith({ status: pod, metadata }), node)).toMatchObject({ cause, reason });
  });

  test("never costs a failure (I9)", () => {
    expect(cases.filter(({ cause }) => chargeOfCause[cause] !== "Disruption")).toEqual([]);
  });
});

describe("a pod that Kueue takes back for another", () => {
  const evicted = {
    conditions: [
      { type: "TerminationTarget", status: "True", reason: "WorkloadEvictedDueToPreempted", message: "for another" },
    ],
  };
  const takenBack = { cause: "Preempted", charge: "Nothing", reason: "WorkloadEvictedDueToPreempted" };

  test.each([
    ["whose trainer obeyed", failed(ended("trainer", 143, preempted), evicted)],
    ["whose trainer was killed at last", failed(ended("trainer", 137), evicted)],
    ["before it had begun", { phase: "Pending", ...evicted }],
    [
      "which its node drove away as well",
      failed(ended("trainer", 143), { conditions: [...evicted.conditions, ...disruption("TerminationByKubelet")] }),
    ],
  ])("costs nothing: one %s", (_title, pod) => {
    expect(disruptionOf(podWith({ status: pod, metadata: deleted }), undefined)).toMatchObject(takenBack);
  });

  test.each([
    ["had not come to delete", failed(ended("trainer", 1), evicted), {}],
    ["deleted after its trainer had crashed", failed(ended("trainer", 1), evicted), skewed],
  ])("is not why a trainer ended that it %s", (_title, pod, metadata) => {
    expect(disruptionOf(podWith({ status: pod, metadata }), undefined)).toBeNull();
  });

  test("is counted nowhere, however often it happens", () => {
    const status = { retry: { failures: 0, failuresLeft: 3, disruptions: 0, fruitless: 0 } };
    const run = living({ spec: { retry: { disruptions: 1 } }, status });
    const pod = podWith({ status: failed(ended("trainer", 143, preempted), evicted), metadata: deleted });
    const { status: after } = decideOn({ run, pods: [pod] });
    expect(after).toMatchObject({ totals: { attempts: 1, disruptions: 0, failures: 0 }, retry: { disruptions: 0 } });
    expect(after.attempts).toMatchObject([{ number: 2 }, { number: 1, cause: "Preempted", charge: "Nothing" }]);
  });
});

test.each([
  ["whose node was deleted", absent, "NodeLost", "NodeGone"],
  ["whose node is out of service", nodeWith({ ready: "Unknown", outOfService: true }), "NodeLost", "NodeOutOfService"],
  ["whose node is ready", nodeWith(), "Deleted", "GoneWithoutTrace"],
  ["of which no node is known", undefined, "Deleted", "GoneWithoutTrace"],
] as const)("a pod that is gone, %s", (_title, node, cause, reason) => {
  expect(vanished(node)).toMatchObject({ cause, reason });
});
