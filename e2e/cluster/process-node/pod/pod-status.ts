import { type ContainerSnapshot, type ContainerState, isInitialized } from "../container/container-snapshot.ts";
import { cutMessage } from "../container/termination-message.ts";

/** The phases a process node reports. */
export type Phase = "Pending" | "Running" | "Succeeded" | "Failed";

/** A verdict of the node on the whole pod, which outweighs what its containers say. */
export interface Verdict {
  readonly reason: string;
  readonly message: string;
}

/** All that a pod's status is made of, at one instant. */
export interface PodSnapshot {
  readonly containers: readonly ContainerSnapshot[];
  /** All init containers are done, or once were. */
  readonly wasInitialized: boolean;
  /** No container runs, and none will. */
  readonly hasEnded: boolean;
  /** Volumes and address are there. */
  readonly isReadyToStart: boolean;
  readonly verdict: Verdict | undefined;
  /** The node ended the pod for reasons of its own, and this is what it says to whoever counts failures. */
  readonly disruption: Verdict | undefined;
  readonly startTime: string;
  readonly hostIP: string;
  readonly podIP: string;
}

/** A pod condition without the time of its last transition. */
export interface Condition {
  readonly type: string;
  readonly status: "True" | "False";
  readonly reason?: string;
  readonly message?: string;
}

/**
 * The phase of a pod.
 *
 *     not all initialized, or a main container never ran -> Pending
 *     some container runs or will                        -> Running
 *     all ended: every main container with 0             -> Succeeded
 *     all ended: anything else                           -> Failed
 */
export function phaseOf(pod: PodSnapshot): Phase {
  const main = pod.containers.filter((container) => container.role === "main");
  if (pod.hasEnded) {
    const isSuccess = main.every(({ state }) => state.kind === "terminated" && state.exitCode === 0);
    return isSuccess && pod.verdict === undefined ? "Succeeded" : "Failed";
  }
  const neverRan = main.some(({ state, lastState }) => state.kind === "waiting" && lastState === undefined);
  return pod.wasInitialized && !neverRan ? "Running" : "Pending";
}

/** The conditions that a node answers for. */
export function conditionsOf(pod: PodSnapshot): Condition[] {
  const phase = phaseOf(pod);
  const initializing = pod.containers.filter((container) => container.role !== "main" && !isInitialized(container));
  const serving = pod.containers.filter((container) => container.role !== "init");
  const unready = serving.filter((container) => !container.isReady);
  const isReady = !pod.hasEnded && pod.wasInitialized && unready.length === 0;
  return [
    { type: "PodReadyToStartContainers", status: status(pod.isReadyToStart && !pod.hasEnded) },
    initializedCondition(pod, phase, initializing),
    readyCondition("Ready", phase, isReady, unready),
    readyCondition("ContainersReady", phase, isReady, unready),
    ...(pod.disruption === undefined ? [] : [{ type: "DisruptionTarget", status: "True" as const, ...pod.disruption }]),
  ];
}

/** The container statuses, reasons and addresses, as the API server takes them. */
export function statusFields(pod: PodSnapshot): Record<string, unknown> {
  const containers = (isMain: boolean) =>
    pod.containers
      .filter((container) => (container.role === "main") === isMain)
      .map((container) => containerStatus(container, pod.containers.length));
  const address = pod.podIP === "" ? {} : { podIP: pod.podIP, podIPs: [{ ip: pod.podIP }] };
  const initContainerStatuses = containers(false);
  return {
    phase: phaseOf(pod),
    startTime: pod.startTime,
    hostIP: pod.hostIP,
    hostIPs: [{ ip: pod.hostIP }],
    ...address,
    ...(initContainerStatuses.length === 0 ? {} : { initContainerStatuses }),
    containerStatuses: containers(true),
    ...(pod.verdict === undefined ? {} : pod.verdict),
  };
}

function initializedCondition(pod: PodSnapshot, phase: Phase, initializing: readonly ContainerSnapshot[]): Condition {
  const type = "Initialized";
  if (phase === "Succeeded") return { type, status: "True", reason: "PodCompleted" };
  if (pod.wasInitialized) return { type, status: "True" };
  const message = `containers with incomplete status: [${names(initializing)}]`;
  return { type, status: "False", reason: "ContainersNotInitialized", message };
}

function readyCondition(
  type: string,
  phase: Phase,
  isReady: boolean,
  unready: readonly ContainerSnapshot[],
): Condition {
  if (isReady) return { type, status: "True" };
  if (phase === "Succeeded") return { type, status: "False", reason: "PodCompleted" };
  if (phase === "Failed") return { type, status: "False", reason: "PodFailed" };
  const message = `containers with unready status: [${names(unready)}]`;
  return { type, status: "False", reason: "ContainersNotReady", message };
}

function containerStatus(container: ContainerSnapshot, containers: number): Record<string, unknown> {
  const { lastState } = container;
  return {
    name: container.name,
    image: container.image,
    imageID: container.containerId === undefined ? "" : container.image,
    ...(container.containerId === undefined ? {} : { containerID: container.containerId }),
    restartCount: container.restartCount,
    started: container.isStarted,
    ready: container.isReady,
    state: stateFields(container.state, containers),
    lastState: lastState === undefined ? {} : stateFields(lastState, containers),
  };
}

function stateFields(state: ContainerState, containers: number): Record<string, unknown> {
  switch (state.kind) {
    case "waiting": {
      const { kind, ...waiting } = state;
      return { [kind]: waiting };
    }
    case "running":
      return { running: { startedAt: state.startedAt } };
    case "terminated": {
      const { reason, exitCode, startedAt, finishedAt } = state;
      const message = cutMessage(state.message, containers);
      const times = startedAt === "" ? {} : { startedAt, finishedAt };
      const containerID = state.containerId === "" ? {} : { containerID: state.containerId };
      return { terminated: { reason, exitCode, ...times, ...containerID, ...(message === "" ? {} : { message }) } };
    }
    default:
      return state satisfies never;
  }
}

function names(containers: readonly ContainerSnapshot[]): string {
  return containers.map((container) => container.name).join(" ");
}

function status(isTrue: boolean): "True" | "False" {
  return isTrue ? "True" : "False";
}
