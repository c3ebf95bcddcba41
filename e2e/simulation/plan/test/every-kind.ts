import { bearing } from "../bearing.ts";
import type { Plan } from "../draw.ts";
import { type Fault, type FaultName, kindOf, type Moment } from "../faults.ts";
import { plainRun } from "../plain-run.ts";
import { nodeName, operatorName, type RunScenario } from "../scenario.ts";

/** A plan of one small run in which a fault of this kind has something to meet, and no other is there. */
export function planOfKind(kind: FaultName): Plan {
  const faults = [faultOf(kind)];
  return {
    seed: 1,
    // One node, so that whatever is aimed at it finds the run's pod there.
    scenario: bearing({ ...quiet, runs: [{ ...run, ...neededBy(kind) }] }, faults),
    faults,
    chaosMs: 40_000,
  };
}

function neededBy(kind: FaultName): Partial<RunScenario> {
  const { needs } = kindOf(kind);
  if (needs === "Bucket") return { hasBucket: true };
  return needs === "Gang" ? { workers: 2, volume: "ReadWriteMany" } : {};
}

const run: RunScenario = {
  ...plainRun,
  appearsAtMs: 100,
  targetStep: 12,
  stepMs: 500,
  intervalSteps: 3,
  saveMs: 500,
  graceSeconds: 10,
  failures: 50,
  noneVerified: "StartOver",
};

const quiet = { nodes: 1, operators: 1, noise: { share: 0, longestMs: 0 }, skewsMs: {} } as const;

const fromTheBeginning: Moment = { atMs: 0 };
const asItRuns: Moment = { run: run.name, state: "Running", delayMs: 0 };
/** By then there is a checkpoint, and another one to come. */
const amidst: Moment = { run: run.name, state: "Running", delayMs: 3_000 };

/** When a fault has to begin to meet something. */
function momentOf(kind: FaultName): Moment {
  switch (kind) {
    // What stands in the way of a pod, or of a write, has to be there before.
    case "ImageMissing":
    case "Unschedulable":
    case "QuotaSpent":
    case "AdmissionRefuses":
    case "QueueHolds":
    case "OperatorKilled":
    case "OperatorCutOff":
    case "AnswerLost":
    case "ReadsStale":
    case "ServerDown":
    case "ServerBusy":
    case "ServerFails":
    case "StatusRefused":
      return fromTheBeginning;
    case "ListingLags":
      return { run: run.name, state: "Pending", delayMs: 0 };
    case "AgentKilledAtEnd":
    case "AgentKilledUploading":
      return asItRuns;
    default:
      return kindOf(kind).lasts && kindOf(kind).needs !== undefined ? asItRuns : amidst;
  }
}

function faultOf(kind: FaultName): Fault {
  const ranges = Object.entries(kindOf(kind).args ?? {});
  const args = Object.fromEntries(ranges.map(([name, [least]]) => [name, least]));
  return {
    id: "f0",
    kind,
    moment: momentOf(kind),
    target: targetOf(kind),
    forMs: 15_000,
    args,
  };
}

function targetOf(kind: FaultName): string {
  const { aim } = kindOf(kind);
  switch (aim) {
    case "Run":
      return run.name;
    case "Node":
      return nodeName(0);
    case "Operator":
      return operatorName(0);
    case "Server":
      return "server";
    case "Namespace":
      return run.namespace;
    default:
      return aim satisfies never;
  }
}
