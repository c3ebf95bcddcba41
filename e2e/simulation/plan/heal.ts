import type { Expected, ExpectedRun } from "../judge/expected.ts";
import type { Plan } from "./draw.ts";
import { type Fault, kindOf } from "./faults.ts";
import type { RunScenario } from "./scenario.ts";

/** What is done when chaos is over, in this order. */
export type Healing =
  /** The fault is lifted, where it still stands: servers answer, nodes thaw, disks have room, specs are as they were. */
  | Readonly<{ kind: "Lift"; fault: string }>
  /** A node that has been deleted or shut down stands again, empty, under its name. */
  | Readonly<{ kind: "RenewNode"; node: string }>
  /** A suspended run is set going. */
  | Readonly<{ kind: "Resume"; run: string }>;

/** Faults that take a node away, which does not come back by lifting them. */
const takesNode: readonly Fault["kind"][] = ["NodeDeleted", "NodeShutDown", "NodeLosesPower"];

/** What has to be done so that nothing stands in the way of any run. */
export function healingOf({ faults }: Plan): Healing[] {
  const lifted = faults.filter(({ kind }) => kindOf(kind).lasts && kind !== "RunSuspended");
  const nodes = new Set(faults.filter(({ kind }) => takesNode.includes(kind)).map(({ target }) => target));
  const resumed = new Set(faults.filter(isResumed).map(({ target }) => target));
  return [
    ...lifted.map(({ id }): Healing => ({ kind: "Lift", fault: id })),
    ...[...nodes].map((node): Healing => ({ kind: "RenewNode", node })),
    ...[...resumed].map((run): Healing => ({ kind: "Resume", run })),
  ];
}

/** What a program's own limits are, which the plan does not know. */
export type Limits = Pick<Expected, "requests" | "lease" | "blindMs" | "lagSeconds">;

/** What a play of the plan is held against. `finals`: the last weights of each run without faults, by its name. */
export function expectedOfPlan(
  plan: Plan,
  { limits, finals, decoys = [] }: { limits: Limits; finals: ReadonlyMap<string, string>; decoys?: readonly string[] },
): Expected {
  return {
    ...limits,
    decoys,
    runs: plan.scenario.runs.map((run) => expectedRun(plan, run, finals.get(run.name) ?? null)),
  };
}

function expectedRun({ faults }: Plan, run: RunScenario, finalContent: string | null): ExpectedRun {
  const { namespace, name, targetStep, intervalSteps, saveMs, stepMs, program, volume, hasBucket } = run;
  const own = faults.filter(({ kind, target }) => kindOf(kind).aim === "Run" && target === name);
  const harms = own.some(({ kind }) => kindOf(kind).harms !== undefined);
  const cutsPower = faults.some(
    ({ kind }) => kind === "NodeLosesPower" || kind === "NodeFrozen" || kind === "NodeSilent",
  );
  const end = endOf(run, own);
  return {
    namespace,
    name,
    end,
    ...(end === "Failed" ? { failure: ["Crashed"] } : {}),
    targetStep,
    finalContent,
    intervalSteps,
    stepsPerSave: Math.ceil(saveMs / stepMs) + 1,
    saveMs,
    obeys: program.onStop === "Saves",
    hasHealthyStorage: !harms && !cutsPower,
    mayGoBack: harms || program.poison !== null || program.crashesAt.length + own.filter(isCrash).length > 1,
    noneVerified: run.noneVerified,
    nodeLost: run.nodeLost.policy,
    deletionPolicy: run.deletionPolicy,
    hasVolume: volume !== "None",
    hasBucket,
    graceSeconds: run.graceSeconds,
    keptLast: run.keptLast,
    evidenceMs: 24 * 3_600_000,
    patienceMs: 120_000,
  };
}

/** How a run ends once everything is healed. The user's last word counts, in whatever order the faults come. */
function endOf({ program }: RunScenario, own: readonly Fault[]): ExpectedRun["end"] {
  const has = (kind: Fault["kind"]) => own.some((fault) => fault.kind === kind);
  if (has("RunDeleted")) return "Deleted";
  if (has("RunSuspended") && !own.some(isResumed)) return "Suspended";
  return program.poison === null ? "Complete" : "Failed";
}

/** Two ends at one step after one checkpoint, and the run goes back to the one before. */
function isCrash({ kind }: Fault): boolean {
  return kind === "TrainerKilled" || kind === "TrainerExits" || kind === "TrainerOutOfMemory";
}

function isResumed({ kind, args }: Fault): boolean {
  return kind === "RunSuspended" && args.resumed === 1;
}
