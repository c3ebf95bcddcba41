import type { Fault, FaultName } from "../plan/faults.ts";
import type { OpenWatch, Fault as RequestFault, Seen } from "./api/faults.ts";
import type { StoredObject } from "./api/object.ts";
import { type ContainerLife, outOfMemory } from "./cluster/container-life.ts";
import type { FaultActs, Lift } from "./fault-acts.ts";

/** Brings a fault about; returns how it is taken back, where it lasts. */
type Act = (acts: FaultActs, fault: Fault) => Lift | null;

/** What a fault of each kind does. A kind that is not here has no model, and plans that have it play without it. */
export const playable: Readonly<Partial<Record<FaultName, Act>>> = {
  TrainerKilled: onContainer("trainer", (container) => container.process?.kill("SIGKILL from outside")),
  AgentKilled: onContainer("agent", (container) => container.process?.kill("SIGKILL from outside")),
  TrainerOutOfMemory: onContainer("trainer", (container) => container.force(outOfMemory)),
  TrainerExits: onContainer("trainer", (container, { args: { code: exitCode = 1 } }) => {
    container.force({ exitCode, reason: exitCode === 0 ? "Completed" : "Error", how: "Returned" });
  }),
  PodEvicted: onPod((acts, pod) => acts.world.cluster.evict(pod)),
  PodPreempted: onPod((acts, pod) => acts.world.cluster.preempt(pod)),
  PodDeleted: onPod((acts, pod) => acts.world.cluster.deletePod(pod, {})),
  PodForceDeleted: onPod((acts, pod) => acts.world.cluster.deletePod(pod, { gracePeriodSeconds: 0 })),
  PreemptionStorm: (acts, fault) => {
    preemptAgain(acts, fault, fault.args.times ?? 1);
    return null;
  },
  NodeSilent: onNode((acts, node) => {
    const machine = acts.world.cluster.machine(node);
    acts.world.cluster.cutOff(machine);
    return () => acts.world.cluster.bringBack(machine);
  }),
  NodeFrozen: onNode((acts, node) => {
    const machine = acts.world.cluster.machine(node);
    acts.world.cluster.freeze(machine);
    return () => acts.world.cluster.bringBack(machine);
  }),
  OperatorKilled: (acts, fault) => {
    const { api, acting } = acts.world;
    let left = fault.args.writes ?? 0;
    api.store.listen(() => {
      if (acting.actor.role !== "Operator" || acting.actor.name !== fault.target || left < 0) return;
      left -= 1;
      if (left < 0) endOperator(acts, fault);
    });
    return null;
  },
  OperatorUpgraded: (acts, fault) => {
    const operator = acts.operator(fault.target);
    if (operator === undefined) return null;
    acts.met(fault);
    operator.process.terminate();
    return null;
  },
  OperatorPaused: (acts, fault) => {
    const operator = acts.operator(fault.target);
    if (operator === undefined) return null;
    acts.met(fault);
    operator.process.pause();
    return () => operator.process.thaw();
  },
  OperatorCutOff: (acts, fault) => striking(acts, fault, () => ({ kind: "Refuse" })),
  AnswerLost: (acts, fault) => {
    let left = fault.args.writes ?? 0;
    return striking(acts, fault, ({ method }) => {
      if (method === "GET" || left < 0) return undefined;
      left -= 1;
      return left < 0 ? { kind: "LoseAnswer" } : undefined;
    });
  },
  WatchReset: onWatches((watch) => watch.reset()),
  WatchStalled: onWatches((watch) => watch.stall()),
  WatchTruncated: onWatches((watch) => watch.truncate()),
  WatchGarbled: onWatches((watch) => watch.garble()),
  WatchExpired: onWatches((watch) => watch.expire()),
  ServerRestarted: (acts, fault) => {
    acts.met(fault);
    acts.world.api.restart();
    return null;
  },
  ServerCompacted: (acts, fault) => {
    acts.met(fault);
    acts.world.api.store.compact();
    return null;
  },
  ServerDown: (acts, fault) => striking(acts, fault, () => ({ kind: "Refuse" })),
  ServerBusy: (acts, fault) => {
    const headers = { "retry-after": "1" };
    return strikingTimes(acts, fault, () => ({ kind: "Answer", code: 429, headers, body: busy }));
  },
  ServerFails: (acts, fault) => strikingTimes(acts, fault, () => ({ kind: "Answer", code: 500, body: failed })),
};

const busy = { kind: "Status", status: "Failure", reason: "TooManyRequests", message: "too many requests", code: 429 };
const failed = { kind: "Status", status: "Failure", reason: "InternalError", message: "etcd: no leader", code: 500 };
const stormEveryMs = 500;

function onPod(does: (acts: FaultActs, pod: StoredObject) => void): Act {
  return (acts, fault) => {
    const pod = livingPod(acts, fault);
    if (pod === undefined) return null;
    acts.met(fault);
    does(acts, pod);
    return null;
  };
}

function onContainer(name: string, does: (container: ContainerLife, fault: Fault) => void): Act {
  return (acts, fault) => {
    const pod = livingPod(acts, fault);
    const life = pod === undefined ? undefined : acts.world.cluster.life(pod);
    const container = life?.containers.find(({ snapshot }) => snapshot.name === name);
    if (container === undefined || container.process === null) return null;
    acts.met(fault);
    does(container, fault);
    return null;
  };
}

function onNode(does: (acts: FaultActs, node: string) => Lift): Act {
  return (acts, fault) => {
    if (!acts.world.cluster.machine(fault.target).isHeard) return null;
    acts.met(fault);
    return does(acts, fault.target);
  };
}

function onWatches(does: (watch: OpenWatch) => void): Act {
  return (acts, fault) => {
    for (const watch of acts.operator(fault.target)?.dispatcher.watches() ?? []) {
      acts.met(fault);
      does(watch);
    }
    return null;
  };
}

/** The newest pod of the fault's run that is not being deleted. */
function livingPod({ world }: FaultActs, { target }: Fault): StoredObject | undefined {
  return world.podsOf(target).findLast(({ metadata }) => metadata.deletionTimestamp === undefined);
}

/** Preempts one pod after the other, as long as there are any to come. */
function preemptAgain(acts: FaultActs, fault: Fault, left: number): void {
  const { scheduler, cluster } = acts.world;
  if (left === 0 || !acts.isChaos) return;
  const pod = livingPod(acts, fault);
  const isRunning = pod !== undefined && cluster.life(pod)?.containers.some(({ process }) => process !== null);
  if (pod !== undefined && isRunning) {
    acts.met(fault);
    cluster.preempt(pod);
  }
  scheduler.after(scheduler.world, stormEveryMs, () => preemptAgain(acts, fault, isRunning ? left - 1 : left));
}

function endOperator(acts: FaultActs, fault: Fault): void {
  const operator = acts.operator(fault.target);
  if (operator === undefined) return;
  acts.met(fault);
  operator.process.kill("by the plan");
}

/** Does something to the requests of the fault's operator, or of all where it is the server's. */
function striking(acts: FaultActs, fault: Fault, does: (seen: Seen) => RequestFault | undefined): Lift {
  const strike = (operator: string, seen: Seen) => {
    if (fault.target !== operator && fault.target !== "server") return undefined;
    const struck = does(seen);
    if (struck !== undefined) acts.met(fault);
    return struck;
  };
  acts.world.strikes.add(strike);
  return () => void acts.world.strikes.delete(strike);
}

function strikingTimes(acts: FaultActs, fault: Fault, does: () => RequestFault): Lift {
  let left = fault.args.times ?? 1;
  return striking(acts, fault, () => {
    left -= 1;
    return left < 0 ? undefined : does();
  });
}
