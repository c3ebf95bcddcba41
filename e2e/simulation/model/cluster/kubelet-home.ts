import type { Container } from "../../../cluster/process-node/pod/pod.ts";
import type { FileWitness } from "../../host/files-access.ts";
import type { SimProcess } from "../../host/process.ts";
import type { Actor, PodPart, StoreName } from "../../judge/history.ts";
import type { Disk } from "../disk/disk.ts";
import type { ClusterParts } from "./cluster-parts.ts";
import type { PodVolumes } from "./container-files.ts";
import type { Machine } from "./machine.ts";
import type { ContainerProgram } from "./program.ts";
import type { Volumes } from "./volumes.ts";

/** Whoever is told of every container that starts, and looks at what its process does to its files. */
export type Onlooker = (
  seen: Readonly<{
    process: SimProcess;
    part: PodPart;
    container: string;
    address: string;
    store: StoreName;
    /** The run's directory on the disk of its checkpoints: empty, or ending with a slash. */
    below: string;
    volumes: PodVolumes;
  }>,
) => FileWitness;

/** What keeps a container from being made, in the kubelet's words. */
export type ContainerTrouble = Readonly<{ reason: string; message: string }>;

/** What a kubelet and its pods share. */
export type KubeletHome = ClusterParts &
  Readonly<{
    machine: Machine;
    actor: Actor;
    volumes: Volumes;
    /** A disk of the node's own, for what goes with a pod. */
    makeDisk: () => Disk;
    /** What runs in a container. */
    programOf: (container: Container, part: PodPart) => ContainerProgram;
    onlooker: Onlooker;
    /** Why a container cannot be made at present; null where it can. */
    troubleOf: (container: Container, part: PodPart) => ContainerTrouble | null;
    /** What a Secret's files lie on; undefined where there is no such Secret. */
    secretDisk: (name: string) => Disk | undefined;
    /** Virtual time. */
    now: () => number;
  }>;
