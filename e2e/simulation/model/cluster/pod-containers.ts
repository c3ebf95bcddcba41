import { claimVolumeName } from "@trainingrun/operator/api/template.ts";
import { claims } from "@trainingrun/operator/kubernetes/resource.ts";
import type { ContainerRole } from "../../../cluster/process-node/container/container-snapshot.ts";
import { type Container, isSidecar, type Pod } from "../../../cluster/process-node/pod/pod.ts";
import { giveFiles } from "../../host/files-access.ts";
import type { Ending } from "../../host/process.ts";
import type { ContainerLife as ContainerFact, StoreName } from "../../judge/history.ts";
import { fieldsOf, type StoredObject } from "../api/object.ts";
import { DiskView } from "../disk/disk-view.ts";
import { lastWords, mountsOf, type PodVolumes, plantRoot } from "./container-files.ts";
import { type ContainerEnd, ContainerLife, type ForcedEnd, outOfMemory } from "./container-life.ts";
import type { KubeletHome } from "./kubelet-home.ts";
import { partOf } from "./pod-part.ts";
import { variablesOf } from "./variables.ts";

/** What the containers of one pod share. */
export type PodParts = Readonly<{
  pod: Pod;
  home: KubeletHome;
  address: string;
  volumes: () => PodVolumes;
  onChange: () => void;
}>;

/** The containers of a pod, init containers first, in the order of the spec. */
export function containersOf(object: StoredObject, parts: PodParts): readonly ContainerLife[] {
  const { initContainers, containers } = parts.pod.spec;
  const firstReason = initContainers.length > 0 ? "PodInitializing" : "ContainerCreating";
  const make = (container: Container, role: ContainerRole) =>
    new ContainerLife(container, { home: homeOf(object, { ...parts, role }), firstReason });
  return [
    ...initContainers.map((container) => make(container, isSidecar(container) ? "sidecar" : "init")),
    ...containers.map((container) => make(container, "main")),
  ];
}

function homeOf(object: StoredObject, parts: PodParts & { role: ContainerRole }) {
  const { pod, home, role, onChange } = parts;
  const { machine, delays, history, now } = home;
  const { namespace, name } = pod.metadata;
  return {
    role,
    restarts: restartsOf(pod, role),
    troubleOf: (container: Container) => home.troubleOf(container, partOf(object)),
    launch: (container: Container) => launch(object, container, parts),
    later: (delayMs: number, run: () => void) => machine.later(delayMs, run),
    noticeMs: () => delays.ms("notice", `${namespace}/${name}`),
    now,
    clockMs: () => machine.clockMs,
    onChange,
    onStop: (graceMs: number) => history.note({ kind: "StopAsked", ...partOf(object), graceMs }),
  };
}

function launch(object: StoredObject, container: Container, { pod, home, address, volumes }: PodParts) {
  const { machine, makeDisk, network, programOf, history, onlooker } = home;
  const part = partOf(object);
  const root = plantRoot(makeDisk());
  const process = machine.begin(`${pod.metadata.name}/${container.name}`, pod.metadata.name);
  const mounted = volumes();
  const view = new DiskView({ node: machine.name, mounts: mountsOf(container, { root, volumes: mounted }) });
  const store = storeOf(pod, home);
  const below = container.volumeMounts.find(({ name }) => name === claimVolumeName)?.subPath ?? "";
  const seen = { process, part, container: container.name, address, store, volumes: mounted };
  giveFiles(process, view, onlooker({ ...seen, below: below === "" ? "" : `${below}/` }));
  network.join(process, address);
  const life = { ...part, container: nameInHistory(container.name), node: machine.name };
  history.note({ kind: "ContainerStarted", ...life });
  const place = { nodeName: machine.name, hostIP: `${machine.network}.1`, podIP: address, allocatable: {} };
  const variables = variablesOf(container, pod, place);
  const program = programOf(container, part);
  const start = { process, args: container.args, variables, part, files: view, store };
  process.start(() => program(start));
  const ended = (ending: Ending, forced: ForcedEnd | null): ContainerEnd => {
    const { exitCode, reason, how } =
      forced ?? endOf(ending, { wasAsked: process.stop.aborted, isOn: machine.state !== "Off" });
    history.note({ kind: "ContainerEnded", ...life, how, exitCode });
    return { exitCode, reason, message: lastWords(container, { root, output: process.output, exitCode }) };
  };
  return { process, ended };
}

/** As the kernel and the runtime tell it: 137 is 128 and SIGKILL, by whomever it was sent. */
function endOf(ending: Ending, { wasAsked, isOn }: { wasAsked: boolean; isOn: boolean }): ForcedEnd {
  if (ending.kind === "killed") return { exitCode: 137, reason: "Error", how: isOn ? "Killed" : "NodeLost" };
  const value = ending.kind === "returned" ? ending.value : 1;
  if (value === "OutOfMemory") return outOfMemory;
  const { planned, byPeer } = fieldsOf(value);
  const exitCode = [planned, byPeer, value].find((code) => typeof code === "number") ?? 1;
  const unasked = byPeer === undefined ? "Returned" : "ByPeer";
  const how = planned !== undefined ? "Planned" : wasAsked ? "Terminated" : unasked;
  return { exitCode, reason: exitCode === 0 ? "Completed" : "Error", how };
}

function restartsOf({ spec: { restartPolicy } }: Pod, role: ContainerRole) {
  if (role === "sidecar") return "Always" as const;
  return role === "init" && restartPolicy === "Always" ? ("OnFailure" as const) : restartPolicy;
}

/** Where the pod's checkpoints lie: on the volume of its claim, or in a directory that goes with it. */
function storeOf(pod: Pod, { api, volumes }: KubeletHome): StoreName {
  const claimName = pod.spec.volumes.find((each) => each.persistentVolumeClaim)?.persistentVolumeClaim?.claimName;
  const { uid } = pod.metadata;
  if (claimName === undefined) return `volume/${uid}`;
  const claim = api.store.get(claims, `${pod.metadata.namespace}/${claimName}`)?.object;
  const volume = claim === undefined ? undefined : volumes.of(claim);
  return `volume/${volume?.name ?? uid}`;
}

function nameInHistory(name: string): ContainerFact["container"] {
  if (name === "agent" || name === "restore") return name;
  return name === "delete" ? "remove" : "trainer";
}
