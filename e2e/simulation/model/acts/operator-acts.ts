import { plural as runsPlural } from "@trainingrun/operator/api/names.ts";
import type { Resource } from "@trainingrun/operator/kubernetes/resource.ts";
import type { Fault, FaultName } from "../../plan/faults.ts";
import { forbidden, invalid, Refusal } from "../api/answers.ts";
import type { OpenWatch, Fault as RequestFault, Seen } from "../api/faults.ts";
import { notAllowed } from "../api/kind.ts";
import type { FaultActs } from "../fault-acts.ts";
import type { Act, Lift } from "./act.ts";

/** What is done to operators, to the API server, and to what goes between them. */
export const operatorActs = {
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
    acts.world.operators.upgrade();
    operator.process.terminate();
    return null;
  },
  OperatorPaused: (acts, fault) => {
    const operator = acts.operator(fault.target);
    if (operator === undefined) return null;
    acts.met(fault);
    acts.world.operators.pause(operator);
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
  WatchHeld: (acts, fault) => {
    const held = acts.operator(fault.target)?.dispatcher.watches() ?? [];
    if (held.length === 0) return null;
    acts.met(fault);
    for (const watch of held) watch.hold();
    return () => {
      for (const watch of held) watch.release();
    };
  },
  ReadsStale: (acts, fault) => {
    const { version } = acts.world.api.store;
    // A single object is always read from the storage itself; lists and watches may come from a copy of it that is behind.
    const lift = striking(acts, fault, ({ method, target }) =>
      method === "GET" && target?.name === undefined ? { kind: "Stale", version } : undefined,
    );
    return () => {
      lift();
      for (const watch of acts.operator(fault.target)?.dispatcher.watches() ?? []) watch.release();
    };
  },
  TokenRotated: (acts, fault) => {
    if (acts.operator(fault.target) === undefined) return null;
    acts.met(fault);
    acts.world.operators.rotateToken();
    return null;
  },
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
  StatusRefused: (acts, fault) =>
    acts.world.admitting(({ verb, part, resource, object }) => {
      const { role } = acts.world.acting.actor;
      if (verb !== "UPDATE" || part !== "status" || resource.plural !== runsPlural || role !== "Operator") return;
      acts.met(fault);
      throw refusalOfStatus(fault, { resource, name: object.metadata.name });
    }),
} as const satisfies Partial<Record<FaultName, Act>>;

const busy = { kind: "Status", status: "Failure", reason: "TooManyRequests", message: "too many requests", code: 429 };
const failed = { kind: "Status", status: "Failure", reason: "InternalError", message: "etcd: no leader", code: 500 };

/** By a rule that the object breaks, by rights that are missing, or since nobody is there to judge it. */
function refusalOfStatus({ args: { how } }: Fault, { resource, name }: { resource: Resource; name: string }): Refusal {
  const field = "status.state";
  if (how === 0) return invalid(resource, name, [notAllowed(field, "Any", "not by the rule of the day")]);
  if (how === 1) return forbidden(resource, name, 'User "operator" cannot patch resource "trainingruns/status"');
  const message = 'Internal error occurred: failed calling webhook "policy.example.com": connection refused';
  return new Refusal(500, { reason: "InternalError", message });
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
