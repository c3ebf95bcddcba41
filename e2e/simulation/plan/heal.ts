import type { Expected, ExpectedRun } from "../judge/expected.ts";
import type { Plan } from "./draw.ts";
import { type Fault, faultNames, kindOf } from "./faults.ts";
import type { RunScenario } from "./scenario.ts";

/** What is done when chaos is over, in this order. */
export type Healing =
  /** The fault is lifted, where it still stands: servers answer, nodes thaw, disks have room, specs are as they were. */
  | Readonly<{ kind: "Lift"; fault: string }>
  /** A node that has been deleted or shut down stands again, empty, under its name. */
  | Readonly<{ kind: "RenewNode"; node: string }>
  /** What the user of a run wants of it in the end, whenever the plan's faults came to it. */
  | Readonly<{ kind: "Suspend" | "Resume" | "Delete"; run: string }>
  | Readonly<{ kind: "DeleteNamespace"; namespace: string }>;

/** Faults that take a node away, which does not come back by lifting them. */
const takesNode: readonly Fault["kind"][] = ["NodeDeleted", "NodeShutDown", "NodeLosesPower"];

/** What has to be done so that nothing stands in the way of any run. */
export function healingOf({ faults, scenario }: Plan): Healing[] {
  const lifted = faults.filter(({ kind }) => kindOf(kind).lasts && kind !== "RunSuspended");
  const nodes = new Set(faults.filter(({ kind }) => takesNode.includes(kind)).map(({ target }) => target));
  const lastWords = scenario.runs.flatMap(({ name }) => lastWordsOn(name, faults));
  const unwanted = new Set(faults.filter(({ kind }) => kind === "NamespaceDeleted").map(({ target }) => target));
  return [
    ...lifted.map(({ id }): Healing => ({ kind: "Lift", fault: id })),
    ...[...nodes].map((node): Healing => ({ kind: "RenewNode", node })),
    ...lastWords,
    ...[...unwanted].map((namespace): Healing => ({ kind: "DeleteNamespace", namespace })),
  ];
}

function lastWordsOn(run: string, faults: readonly Fault[]): Healing[] {
  const own = faults.filter(({ target }) => target === run);
  const isSuspended = own.some(({ kind }) => kind === "RunSuspended");
  const kind = own.some(isResumed) ? "Resume" : "Suspend";
  const isDeleted = own.some((fault) => fault.kind === "RunDeleted");
  return [...(isSuspended ? [{ kind, run } as const] : []), ...(isDeleted ? [{ kind: "Delete", run } as const] : [])];
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
  const { namespace, name, workers, targetStep, intervalSteps, program, volume, hasBucket } = run;
  const own = faults.filter(({ kind, target }) => kindOf(kind).aim === "Run" && target === name);
  const harms = own.some(({ kind }) => kindOf(kind).harms !== undefined);
  const cutsPower = faults.some(
    ({ kind }) => takesNode.includes(kind) || kind === "NodeFrozen" || kind === "NodeSilent",
  );
  const losesNamespace = faults.some(({ kind, target }) => kind === "NamespaceDeleted" && target === namespace);
  const ends = losesNamespace ? ({ end: "Deleted" } as const) : endsOf(run, own);
  return {
    namespace,
    name,
    workers,
    ...ends,
    ...(program.poison === null ? {} : { failure: poisoned }),
    targetStep,
    finalContent,
    intervalSteps,
    ...saveOf(run, own),
    obeys: program.onStop === "Saves",
    hasHealthyStorage: !harms && !cutsPower && !losesNamespace,
    isDamaged: losesNamespace || own.some(({ kind }) => damages.includes(kind)),
    losesNamespace,
    mayLackUploads: faults.some(({ kind }) => hinders.includes(kind)),
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

/** A gang's save is over once worker 0's agent has committed it, and begins when all have come to the same step. */
function saveOf(
  { workers, saveMs, stepMs }: RunScenario,
  own: readonly Fault[],
): Pick<ExpectedRun, "stepsPerSave" | "saveMs"> {
  if (workers === 1) return { stepsPerSave: Math.ceil(saveMs / stepMs) + 1, saveMs };
  const isHeldUp = own.some(({ kind }) => holdUpGangs.includes(kind));
  const longestMs = saveMs + gatherMs + (isHeldUp ? agentAwayMs : 0);
  return { stepsPerSave: Math.ceil(longestMs / stepMs) + 1, saveMs: 2 * (saveMs + stepMs) + gatherMs };
}

/** What keeps worker 0's agent, or a worker, from its part in a save. */
const holdUpGangs = faultNames.filter(
  (kind) => kind.startsWith("Agent") || ["TrainerHangs", "TrainerHeldUp"].includes(kind),
);

/** Until what all have saved is committed, and until who was held up is there again. */
const [gatherMs, agentAwayMs] = [5_000, 130_000];

/** It crashes again and again, or was not to resume from its only checkpoint after that. */
const poisoned = ["Crashed", "NoVerifiedCheckpoint"];

/** Whatever these meet is not what it was, and no fault of who reads it. */
const damages: readonly Fault["kind"][] = ["BitFlipped", "FileTruncated", "TailZeroed", "ClaimDeleted"];

/** What may keep the agent from its last upload, which no run with a volume waits for for ever. */
const hinders = faultNames.filter((kind) => {
  const { aim, needs, harms } = kindOf(kind);
  return (
    needs === "Bucket" ||
    harms !== undefined ||
    aim === "Node" ||
    kind.startsWith("Agent") ||
    kind.startsWith("Pod") ||
    kind === "QueueTakesBack"
  );
});

/** How a run ends once everything is healed. The user's last word counts; a run may have been over before it was said. */
function endsOf({ program }: RunScenario, own: readonly Fault[]): Pick<ExpectedRun, "end" | "orBefore"> {
  const has = (kind: Fault["kind"]) => own.some((fault) => fault.kind === kind);
  const byItself = program.poison === null ? "Complete" : "Failed";
  if (has("RunDeleted")) return { end: "Deleted" };
  const isLeft = has("RunSuspended") && !own.some(isResumed);
  return isLeft ? { end: "Suspended", orBefore: byItself } : { end: byItself };
}

/** Two ends at one step after one checkpoint, and the run goes back to the one before. */
function isCrash({ kind }: Fault): boolean {
  return ["TrainerKilled", "TrainerExits", "TrainerOutOfMemory", "TrainerHangs"].includes(kind);
}

function isResumed({ kind, args }: Fault): boolean {
  return kind === "RunSuspended" && args.resumed === 1;
}
