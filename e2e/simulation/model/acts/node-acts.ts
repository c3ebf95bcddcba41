import type { Fault, FaultName } from "../../plan/faults.ts";
import type { Machine } from "../cluster/machine.ts";
import type { FaultActs } from "../fault-acts.ts";
import type { Act, Lift } from "./act.ts";

/** What happens to nodes. Each of them can be told from the others only by what it does to the pods there. */
export const nodeActs = {
  NodeTainted: onNode(({ world: { cluster } }, machine) => {
    cluster.nodes.taint(machine, "person", [{ key: "example.com/maintenance", effect: "NoExecute" }]);
    return () => cluster.nodes.taint(machine, "person", []);
  }),
  NodeUnderPressure: onNode(({ world: { cluster } }, machine) => {
    cluster.nodes.taint(machine, "pressure", [{ key: "node.kubernetes.io/memory-pressure", effect: "NoSchedule" }]);
    const message = "The node was low on resource: memory.";
    for (const life of cluster.kubelet(machine).running) life.evict({ reason: "Evicted", message }, pressureGraceMs);
    return () => cluster.nodes.taint(machine, "pressure", []);
  }),
  NodeShutDown: onNode(({ world: { cluster } }, machine) => {
    cluster.shutDown(machine, shutdownGraceMs);
    return () => cluster.bringBack(machine);
  }),
  NodeSilent: onNode(({ world: { cluster } }, machine) => {
    cluster.cutOff(machine);
    return () => cluster.bringBack(machine);
  }),
  NodeFrozen: onNode(({ world: { cluster } }, machine) => {
    cluster.freeze(machine);
    return () => cluster.bringBack(machine);
  }),
  NodeLosesPower: onNode(({ world: { cluster } }, machine) => {
    cluster.cutPower(machine);
    return () => cluster.bringBack(machine);
  }),
  NodeDeleted: onNode(({ world: { cluster } }, machine) => {
    cluster.cutPower(machine);
    cluster.nodes.remove(machine);
    return null;
  }),
  KubeletRestarted: onNode(({ world: { scheduler } }, machine, { args: { forMs = 1_000 } }) => {
    machine.pauseKubelet();
    scheduler.after(scheduler.world, forMs, () => machine.resumeKubelet());
    return null;
  }),
  ClockStepped: onNode((_, machine, { args: { byMs = 0 } }) => {
    machine.stepClock(byMs);
    return null;
  }),
} as const satisfies Partial<Record<FaultName, Act>>;

/** Under pressure a kubelet gives pods little time, and at a shutdown what the machine itself is given. */
const pressureGraceMs = 10_000;
const shutdownGraceMs = 20_000;

/** Only a node that is heard can begin to have something; what another fault has taken is left as it is. */
function onNode(does: (acts: FaultActs, machine: Machine, fault: Fault) => Lift | null): Act {
  return (acts, fault) => {
    const machine = acts.world.cluster.machine(fault.target);
    if (!machine.isHeard) return null;
    acts.met(fault);
    return does(acts, machine, fault);
  };
}
