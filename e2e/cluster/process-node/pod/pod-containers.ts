import { join } from "node:path";
import { ContainerRunner } from "../container/container-runner.ts";
import type { ContainerRole, ContainerSnapshot } from "../container/container-snapshot.ts";
import type { PodVolumes } from "../volumes/pod-volumes.ts";
import type { PodPlace } from "./downward.ts";
import { type Container, isSidecar, type Pod } from "./pod.ts";
import type { PodHome } from "./pod-home.ts";
import { prepareContainer } from "./preparation.ts";

/** What the containers of one pod share. */
export interface PodParts {
  readonly home: PodHome;
  readonly place: PodPlace;
  readonly volumes: PodVolumes;
  readonly directory: string;
  readonly onChange: () => void;
}

/** A runner for each container of a pod, init containers first, in the order of the spec. */
export function containerRunners(pod: Pod, parts: PodParts): ContainerRunner[] {
  return [
    ...pod.spec.initContainers.map((container) => {
      return containerRunner({ pod, container, role: isSidecar(container) ? "sidecar" : "init" }, parts);
    }),
    ...pod.spec.containers.map((container) => containerRunner({ pod, container, role: "main" }, parts)),
  ];
}

function containerRunner(
  { pod, container, role }: { pod: Pod; container: Container; role: ContainerRole },
  { home, place, volumes, directory, onChange }: PodParts,
): ContainerRunner {
  const { gate, ledger, images, objects, client, events } = home;
  return new ContainerRunner({
    container,
    role,
    restarts: restartsOf(role, pod.spec.restartPolicy),
    firstReason: pod.spec.initContainers.length > 0 ? "PodInitializing" : "ContainerCreating",
    prepare: (restartCount) =>
      prepareContainer(
        {
          ...{ pod, container, place, objects, images, mark: ledger.mark },
          server: client.server,
          volumes: volumes.directories ?? new Map(),
          directory: join(directory, container.name),
        },
        restartCount,
      ),
    gate,
    ledger,
    onChange: (snapshot) => {
      const trouble = troubleOf(snapshot);
      if (trouble !== undefined) events.warn(pod, trouble.reason, trouble.message);
      onChange();
    },
  });
}

function restartsOf(role: ContainerRole, policy: Pod["spec"]["restartPolicy"]): Pod["spec"]["restartPolicy"] {
  if (role === "sidecar") return "Always";
  // An init container that has succeeded is done, whatever the pod's policy.
  return role === "init" && policy === "Always" ? "OnFailure" : policy;
}

function troubleOf({ name, state }: ContainerSnapshot): { reason: string; message: string } | undefined {
  if (state.kind !== "waiting" || state.message === undefined) return undefined;
  const reason = state.reason.endsWith("BackOff") ? "BackOff" : "Failed";
  return { reason, message: `container ${name}: ${state.reason}: ${state.message}` };
}
