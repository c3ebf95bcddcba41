import { readFileSync } from "node:fs";
import { join } from "node:path";
import { leaseTiming } from "@trainingrun/operator/kubernetes/lease.ts";
import { parse } from "yaml";
import { activeResources, leakedSince } from "./host/leaks.ts";
import type { Expected } from "./judge/expected.ts";
import type { History } from "./judge/history.ts";
import { leases } from "./model/api/built-in-kinds.ts";
import { type Fields, fieldsOf, isFields, listOf, type StoredObject } from "./model/api/object.ts";
import { trainingRunKind } from "./model/api/run-kind.ts";
import { FaultActs } from "./model/fault-acts.ts";
import { playable } from "./model/fault-kinds.ts";
import { lookAtBucket, lookAtVolumes } from "./model/final-look.ts";
import { PlayWorld } from "./model/play-world.ts";
import { weightsAfter } from "./model/trainer/weights.ts";
import { decoyName } from "./model/user.ts";
import { drawPlan, type Plan } from "./plan/draw.ts";
import { type FaultName, faultNames } from "./plan/faults.ts";
import { expectedOfPlan, healingOf, type Limits } from "./plan/heal.ts";

/** What a run has come to. */
export type RunEnd = Readonly<{ name: string; state: string; attempts: number; step: number; conditions: string }>;

/** What came of a play. */
export type Played = Readonly<{
  /** Of everything that happened: equal for equal plans, in any Node. */
  hash: string;
  /** When all runs had come to their ends; null where some have not. */
  endedMs: number | null;
  virtualMs: number;
  runs: readonly RunEnd[];
  /** Writes of operators while nothing happened any more. */
  writesInQuiet: number;
  /** What was left of the real machine: nothing, or real time has leaked in. */
  leaked: readonly string[];
  lines: readonly string[];
  history: History;
  /** What the history is to be held against. */
  expected: Expected;
}>;

/** How long runs may take to come to their ends once nothing stands in their way, and how long everything must be quiet. */
export type Patience = Readonly<{ healMs: number; quietMs: number }>;

/** The operator looks at everything again every ten minutes, which a tenth of the plays wait for. */
function patienceFor({ seed }: Plan): Patience {
  return { healMs: 60 * 60_000, quietMs: seed % 10 === 0 ? 11 * 60_000 : 60_000 };
}

/** What an end brings with it, such as taking the pods' finalizers off, is no disquiet. */
const settleMs = 30_000;
/** The operator's own promises, which no plan changes. */
const limits = { requests: { perSecond: 55, burst: 105 }, blindMs: 60_000, lagSeconds: 60 } as const;
/** What an operator has sent is at the server by then. */
const travelMs = 100;
/** The longest that an agent waits before it tries the object store again, and an upload. */
const catchUpMs = 130_000;
const definitionPath = join(import.meta.dirname, "../../crds/trainingrun.dev_trainingruns.yaml");
const runKind = trainingRunKind(readDefinition());
let devices = 0;

/** What a plan is drawn from: nothing but programs that do their work, or only some kinds of faults. */
export type Mood = Readonly<{ isCalm?: boolean; kinds?: readonly FaultName[] }>;

/** The plan of a seed; a calm one has no faults, and programs that do their work. */
export function planOf(seed: number, { isCalm = false, kinds }: Mood = {}): Plan {
  const plan = drawPlan(seed, kinds ?? playableKinds);
  if (!isCalm) return plan;
  const runs = plan.scenario.runs.map((run) => ({ ...run, program: calmProgram }));
  return { ...plan, faults: [], scenario: { ...plan.scenario, runs } };
}

const playableKinds = faultNames.filter((kind) => playable[kind] !== undefined);
const calmProgram = { onStop: "Saves", crashesAt: [], poison: null } as const;

/** Plays a plan: faults for a while, then none, until every run has come to its end, and then a while of quiet. */
export async function play(
  plan: Plan,
  { keep = 0, patience = patienceFor(plan) }: { keep?: number; patience?: Patience } = {},
): Promise<Played> {
  const before = activeResources();
  const { seed, scenario, chaosMs } = plan;
  const nextDevice = () => {
    devices += 1;
    return devices;
  };
  const world = new PlayWorld({ seed, scenario, keep, runKind, nextDevice });
  const { scheduler, history } = world;
  const acts = new FaultActs(world, plan);
  const unended = watchEnds(world, plan);
  const writes = countWrites(world);
  for (let index = 0; index < scenario.operators; index += 1) acts.startOperator(index);
  for (const { name, appearsAtMs } of scenario.runs) {
    scheduler.after(scheduler.world, appearsAtMs, () => {
      world.user.createRun(name);
      if (scenario.hasDecoys) world.user.createDecoys(name);
    });
  }
  world.facts.isStoreWell = plan.faults.length === 0;
  acts.arm();
  history.note({ kind: "Part", part: "Chaos" });
  if (plan.faults.length > 0) await scheduler.stepUntil(() => false, { untilMs: chaosMs });
  history.note({ kind: "Part", part: "Heal" });
  await inWorld(world, () => acts.heal(healingOf(plan)));
  const takeStoreForWell = () => {
    world.facts.isStoreWell = true;
  };
  scheduler.after(scheduler.world, catchUpMs, takeStoreForWell, "background");
  const hasEnded = await scheduler.stepUntil(() => unended.size === 0, { untilMs: scheduler.now + patience.healMs });
  const endedMs = hasEnded ? scheduler.now : null;
  await scheduler.stepUntil(() => false, { untilMs: scheduler.now + settleMs });
  history.note({ kind: "Part", part: "Quiet" });
  const written = writes.count;
  await scheduler.stepUntil(() => false, { untilMs: scheduler.now + patience.quietMs });
  const writesInQuiet = writes.count - written;
  world.operators.compare();
  await lookAtVolumes(world);
  const inBucket = scenario.runs.filter(({ hasBucket }) => hasBucket);
  await lookAtBucket(
    world,
    inBucket.flatMap(({ name }) => world.run(name)?.metadata.uid ?? []),
  );
  history.note({ kind: "Part", part: "End" });
  acts.end();
  const finals = scenario.runs.map(({ name, targetStep, workers }): [string, string] => {
    return [name, weightsAfter(world.run(name)?.metadata.uid ?? "", targetStep, workers)];
  });
  return {
    hash: scheduler.trace.hash,
    endedMs,
    virtualMs: scheduler.now,
    runs: scenario.runs.map(({ name }) => endOf(name, world.run(name))),
    writesInQuiet,
    leaked: leakedSince(before),
    lines: scheduler.trace.lines,
    history,
    expected: expectedOfPlan(plan, { limits: limitsOf(plan), finals: new Map(finals), decoys: decoysOf(plan) }),
  };
}

/** The runs that have not come to the ends that their plan has for them. */
function watchEnds(world: PlayWorld, plan: Plan): ReadonlySet<string> {
  const { runs } = expectedOfPlan(plan, { limits: limitsOf(plan), finals: new Map() });
  const wanted = new Map<string, readonly string[]>(
    runs.map(({ name, end, orBefore }) => [name, [end, ...(orBefore === undefined ? [] : [orBefore])]]),
  );
  const unended = new Set(wanted.keys());
  world.api.store.listen(({ plural }, { object, type }) => {
    if (plural !== world.runs.plural) return;
    const { name, deletionTimestamp } = object.metadata;
    // What is being deleted has come to no end of its own: another run may follow under its name.
    const state = type === "DELETED" ? "Deleted" : deletionTimestamp === undefined ? stateOf(object) : "Terminating";
    const hasEnded = wanted.get(name)?.includes(state) && (type === "DELETED" || isSettled(object));
    if (hasEnded) unended.delete(name);
    else unended.add(name);
  });
  return unended;
}

function countWrites(world: PlayWorld): Readonly<{ count: number }> {
  const writes = { count: 0 };
  world.api.store.listen(({ plural }) => {
    if (world.acting.actor.role === "Operator" && plural !== leases.plural) writes.count += 1;
  });
  return writes;
}

function limitsOf({ scenario }: Plan): Limits {
  const lease = scenario.operators > 1 ? { durationMs: leaseTiming.leaseMs, travelMs } : null;
  return { ...limits, lease };
}

function decoysOf({ scenario }: Plan): readonly string[] {
  if (!scenario.hasDecoys) return [];
  return scenario.runs.flatMap(({ namespace, name }) =>
    ["pods", "persistentvolumeclaims"].map((plural) => `${plural} ${namespace}/${decoyName(name)}`),
  );
}

/** Lets something happen as an event of the world, at once. */
async function inWorld({ scheduler }: PlayWorld, act: () => void): Promise<void> {
  let isDone = false;
  scheduler.after(scheduler.world, 0, () => {
    act();
    isDone = true;
  });
  await scheduler.stepUntil(() => isDone, { untilMs: scheduler.now });
}

function endOf(name: string, run: StoredObject | undefined): RunEnd {
  const { attempt, latestVerified, conditions } = fieldsOf(run?.status);
  const said = listOf(conditions).map(fieldsOf);
  return {
    name,
    state: run === undefined ? "Deleted" : stateOf(run),
    attempts: Number(attempt ?? 0),
    step: Number(fieldsOf(latestVerified).step ?? 0),
    conditions: said.map(({ type, status, reason, message }) => `${type}=${status} ${reason}: ${message}`).join("\n"),
  };
}

/** Whether it is known what all ends of its attempts cost: of a gang's that is a while later. */
function isSettled({ status }: StoredObject): boolean {
  return listOf(fieldsOf(status).attempts).every((entry) => fieldsOf(entry).chargeDueTime === undefined);
}

function stateOf(run: StoredObject): string {
  return String(fieldsOf(run.status).state ?? "");
}

function readDefinition(): Fields {
  const read: unknown = parse(readFileSync(definitionPath, "utf8"));
  if (!isFields(read)) throw new Error(`Cannot read ${definitionPath} because it holds no object`);
  return read;
}
