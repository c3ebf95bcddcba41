import { describe, expect, test } from "vitest";
import type {
  ContainerRole,
  ContainerSnapshot,
  ContainerState,
  TerminatedState,
} from "../container/container-snapshot.ts";
import { conditionsOf, type PodSnapshot, phaseOf, statusFields } from "./pod-status.ts";

const never: ContainerState = { kind: "waiting", reason: "PodInitializing" };
const running: ContainerState = { kind: "running", startedAt: "2026-01-01T00:00:00Z" };
const exit = (exitCode: number): TerminatedState => ({
  kind: "terminated",
  reason: exitCode === 0 ? "Completed" : "Error",
  exitCode,
  message: "",
  startedAt: "2026-01-01T00:00:00Z",
  finishedAt: "2026-01-01T00:00:01Z",
  containerId: "process-node://1",
});
const backingOff: ContainerState = { kind: "waiting", reason: "CrashLoopBackOff" };

function container(
  role: ContainerRole,
  state: ContainerState,
  more: Partial<ContainerSnapshot> = {},
): ContainerSnapshot {
  const isRunning = state.kind === "running";
  return {
    name: role,
    role,
    image: "i",
    state,
    lastState: undefined,
    restartCount: 0,
    isStarted: isRunning,
    isReady: isRunning || (role === "init" && state.kind === "terminated" && state.exitCode === 0),
    containerId: undefined,
    ...more,
  };
}

function pod(containers: readonly ContainerSnapshot[], more: Partial<PodSnapshot> = {}): PodSnapshot {
  return {
    containers,
    wasInitialized: false,
    hasEnded: false,
    isReadyToStart: true,
    verdict: undefined,
    disruption: undefined,
    startTime: "2026-01-01T00:00:00Z",
    hostIP: "127.0.1.1",
    podIP: "127.1.0.1",
    ...more,
  };
}

const initialized = { wasInitialized: true };
const ended = { wasInitialized: true, hasEnded: true };
const verdict = { reason: "Evicted", message: "no memory" };

describe("the phase of a pod", () => {
  test.each<[string, readonly ContainerSnapshot[], Partial<PodSnapshot>, string]>([
    ["whose init container runs", [container("init", running), container("main", never)], {}, "Pending"],
    ["whose sidecar is about to start", [container("sidecar", never), container("main", never)], {}, "Pending"],
    ["whose main container never ran", [container("main", never)], initialized, "Pending"],
    ["whose main container runs", [container("main", running)], initialized, "Running"],
    ["whose main container backs off", [container("main", backingOff, { lastState: exit(1) })], initialized, "Running"],
    [
      "whose sidecar outlives the rest",
      [container("sidecar", running), container("main", exit(0))],
      initialized,
      "Running",
    ],
    [
      "whose containers all ended well",
      [container("sidecar", exit(0)), container("main", exit(0))],
      ended,
      "Succeeded",
    ],
    ["whose sidecar ended badly", [container("sidecar", exit(137)), container("main", exit(0))], ended, "Succeeded"],
    ["whose main container ended badly", [container("sidecar", exit(0)), container("main", exit(1))], ended, "Failed"],
    [
      "whose init container ended badly",
      [container("init", exit(1)), container("main", never)],
      { hasEnded: true },
      "Failed",
    ],
    ["that was evicted after it had ended well", [container("main", exit(0))], { ...ended, verdict }, "Failed"],
    ["that was refused", [container("main", never)], { hasEnded: true, verdict }, "Failed"],
  ])("%s is right", (_, containers, more, expected) => {
    expect(phaseOf(pod(containers, more))).toBe(expected);
  });
});

describe("the conditions of a pod", () => {
  const byType = (snapshot: PodSnapshot) =>
    new Map(conditionsOf(snapshot).map((condition) => [condition.type, condition]));

  test("name the containers that are not initialized and not ready", () => {
    const conditions = byType(pod([container("init", running), container("main", never)]));
    expect(conditions.get("Initialized")).toEqual({
      type: "Initialized",
      status: "False",
      reason: "ContainersNotInitialized",
      message: "containers with incomplete status: [init]",
    });
    expect(conditions.get("Ready")).toMatchObject({
      status: "False",
      reason: "ContainersNotReady",
      message: "containers with unready status: [main]",
    });
  });

  test("are all true while every container that should run does", () => {
    const snapshot = pod(
      [container("init", exit(0)), container("sidecar", running), container("main", running)],
      initialized,
    );
    expect(conditionsOf(snapshot).map(({ type, status }) => [type, status])).toEqual([
      ["PodReadyToStartContainers", "True"],
      ["Initialized", "True"],
      ["Ready", "True"],
      ["ContainersReady", "True"],
    ]);
  });

  test("say what came of a pod that has ended", () => {
    expect(byType(pod([container("main", exit(0))], ended)).get("Ready")).toMatchObject({ reason: "PodCompleted" });
    expect(byType(pod([container("main", exit(1))], ended)).get("Ready")).toMatchObject({ reason: "PodFailed" });
  });

  test("carry the node's own reason for ending the pod", () => {
    const disruption = { reason: "TerminationByKubelet", message: "no memory" };
    expect(byType(pod([container("main", running)], { ...initialized, disruption })).get("DisruptionTarget")).toEqual({
      type: "DisruptionTarget",
      status: "True",
      ...disruption,
    });
  });
});

test("a status says which init containers ended and what the main one does", () => {
  const containers = [container("init", exit(0)), container("main", running, { containerId: "process-node://2" })];
  expect(statusFields(pod(containers, initialized))).toEqual({
    phase: "Running",
    startTime: "2026-01-01T00:00:00Z",
    hostIP: "127.0.1.1",
    hostIPs: [{ ip: "127.0.1.1" }],
    podIP: "127.1.0.1",
    podIPs: [{ ip: "127.1.0.1" }],
    initContainerStatuses: [
      {
        name: "init",
        image: "i",
        imageID: "",
        restartCount: 0,
        started: false,
        ready: true,
        state: {
          terminated: {
            reason: "Completed",
            exitCode: 0,
            startedAt: "2026-01-01T00:00:00Z",
            finishedAt: "2026-01-01T00:00:01Z",
            containerID: "process-node://1",
          },
        },
        lastState: {},
      },
    ],
    containerStatuses: [
      {
        name: "main",
        image: "i",
        imageID: "i",
        containerID: "process-node://2",
        restartCount: 0,
        started: true,
        ready: true,
        state: { running: { startedAt: "2026-01-01T00:00:00Z" } },
        lastState: {},
      },
    ],
  });
});
