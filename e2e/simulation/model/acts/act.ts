import { labels } from "@trainingrun/operator/api/names.ts";
import type { Fault } from "../../plan/faults.ts";
import type { StoredObject } from "../api/object.ts";
import type { ContainerLife } from "../cluster/container-life.ts";
import type { FaultActs } from "../fault-acts.ts";

/** Takes a fault back that stands. */
export type Lift = () => void;

/** Brings a fault about; returns how it is taken back, where it lasts. */
export type Act = (acts: FaultActs, fault: Fault) => Lift | null;

/** Acts on the newest pod of the fault's run, where there is one. */
export function onPod(does: (acts: FaultActs, pod: StoredObject, fault: Fault) => void): Act {
  return (acts, fault) => {
    const pod = livingPod(acts, fault);
    if (pod === undefined) return null;
    acts.met(fault);
    does(acts, pod, fault);
    return null;
  };
}

/** Acts on the process of one container of the newest pod of the fault's run, where it runs. */
export function onContainer(name: string, does: (container: ContainerLife, fault: Fault) => void): Act {
  return (acts, fault) => {
    const container = containerOf(acts, fault, name);
    if (container === undefined || container.process === null) return null;
    acts.met(fault);
    does(container, fault);
    return null;
  };
}

/** The newest pod of the fault's run that is not being deleted; of a gang's, one that the fault has drawn. */
export function livingPod({ world }: FaultActs, { id, target }: Fault): StoredObject | undefined {
  const living = world.podsOf(target).filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const attempt = living.at(-1)?.metadata.labels?.[labels.attempt];
  const peers = living.filter(({ metadata }) => metadata.labels?.[labels.attempt] === attempt);
  return peers[Math.floor(world.scheduler.chance.draw("worker", id, 0) * peers.length)];
}

function containerOf(acts: FaultActs, fault: Fault, name: string): ContainerLife | undefined {
  const pod = livingPod(acts, fault);
  const life = pod === undefined ? undefined : acts.world.cluster.life(pod);
  return life?.containers.find(({ snapshot }) => snapshot.name === name);
}
