import { readFileSync } from "node:fs";
import { join } from "node:path";
import { claims, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { parse } from "yaml";
import { allChecks } from "../simulation/judge/checks.ts";
import { eventsOf } from "../simulation/judge/history.ts";
import { judge } from "../simulation/judge/oracle.ts";
import { fieldsOf, listOf } from "../simulation/model/api/object.ts";
import { trainingRunKind } from "../simulation/model/api/run-kind.ts";
import { FaultActs } from "../simulation/model/fault-acts.ts";
import { lookAtBucket, lookAtVolumes } from "../simulation/model/final-look.ts";
import { PlayWorld } from "../simulation/model/play-world.ts";
import { weightsAfter } from "../simulation/model/trainer/weights.ts";
import type { Plan } from "../simulation/plan/draw.ts";
import { expectedOfPlan } from "../simulation/plan/heal.ts";
import type { Cut, ScriptEnd, ScriptPlay } from "./cut.ts";
import type { Script } from "./scripts.ts";
import { SimDeeds } from "./sim-deeds.ts";
import { SimWrites } from "./sim-writes.ts";

const seed = 1;
const healMs = 60 * 60_000;
const settleMs = 60_000;
const quietMs = 3 * 60_000;
const limits = { requests: { perSecond: 50, burst: 100 }, lease: null, blindMs: 60_000, lagSeconds: 60 } as const;
const definitionPath = join(import.meta.dirname, "../../crds/trainingrun.dev_trainingruns.yaml");
const runKind = trainingRunKind(fieldsOf(parse(readFileSync(definitionPath, "utf8"))));
let devices = 0;

/** Plays a script to its end, with one write cut or none. Whoever dies is started again three seconds later. */
export async function playScript(script: Script, cut: Cut | null): Promise<ScriptPlay> {
  const plan = planOf(script);
  const nextDevice = () => {
    devices += 1;
    return devices;
  };
  const world = new PlayWorld({ seed, scenario: plan.scenario, keep: 0, runKind, nextDevice });
  const { scheduler, history } = world;
  const acts = new FaultActs(world, plan);
  const deeds = new SimDeeds(world, script);
  const writes = new SimWrites(world, { cut, kill: (name) => acts.operator(name)?.process.kill("at a write") });
  scheduler.after(scheduler.world, 0, () => {
    const { uid } = world.createRun(script.run.name).metadata;
    writes.runUid = uid;
    acts.startOperator(0);
    deeds.begin();
  });
  history.note({ kind: "Part", part: "Chaos" });
  const runUid = await uidOf(world, script);
  await scheduler.stepUntil(() => deeds.areDone, { untilMs: healMs });
  history.note({ kind: "Part", part: "Heal" });
  const hasEnded = await scheduler.stepUntil(() => stateIn(world, script) === script.end, {
    untilMs: scheduler.now + healMs,
  });
  await scheduler.stepUntil(() => false, { untilMs: scheduler.now + settleMs });
  history.note({ kind: "Part", part: "Quiet" });
  await scheduler.stepUntil(() => false, { untilMs: scheduler.now + quietMs });
  await lookAtVolumes(world);
  if (script.run.hasBucket) await lookAtBucket(world, [runUid]);
  history.note({ kind: "Part", part: "End" });
  acts.end();
  const violations = violationsOf(world, { script, plan, runUid });
  return {
    writes: writes.seen,
    wasCut: writes.wasCut,
    end: endOf(world, { script, writes, runUid }),
    broken: [
      ...(deeds.areDone ? [] : [`the cue of ${deeds.next} never came`]),
      ...(hasEnded ? [] : [`it is ${stateIn(world, script)} and should be ${script.end}`]),
      ...violations,
    ],
  };
}

function planOf({ run }: Script): Plan {
  const scenario = { runs: [run], nodes: 2, operators: 1 as const, noise: { share: 0, longestMs: 0 }, skewsMs: {} };
  return { seed, scenario, faults: [], chaosMs: 0 };
}

async function uidOf(world: PlayWorld, { run }: Script): Promise<string> {
  await world.scheduler.stepUntil(() => world.run(run.name) !== undefined, { untilMs: 1 });
  return world.run(run.name)?.metadata.uid ?? "";
}

function stateIn(world: PlayWorld, { run }: Script): string {
  const found = world.run(run.name);
  return found === undefined ? "Deleted" : String(fieldsOf(found.status).state ?? "New");
}

type Seen = Readonly<{ script: Script; runUid: string }>;

/** What every check of the judge has to say of the play. */
function violationsOf({ history }: PlayWorld, { script, plan, runUid }: Seen & { plan: Plan }): readonly string[] {
  const finals = new Map([[script.run.name, weightsAfter(runUid, script.run.targetStep)]]);
  const expected = expectedOfPlan(plan, { limits, finals });
  const isCutOff = script.deeds.some(({ deed }) => deed === "CutNodeOff");
  const runs = expected.runs.map((run) => ({ ...run, end: script.end, hasHealthyStorage: !isCutOff }));
  const { violations } = judge(history, { ...expected, runs }, allChecks);
  return violations.map(({ check, atMs, what }) => `${check} at ${Math.round(atMs)} ms: ${what}`);
}

/** State, ledger, totals, checkpoints, and what was created and deleted by its name. Times and lost steps may differ. */
function endOf(world: PlayWorld, { script, writes, runUid }: Seen & { writes: SimWrites }): ScriptEnd {
  const { name, namespace, targetStep } = script.run;
  const { status } = world.run(name) ?? {};
  const { attempts, totals, retry } = fieldsOf(status);
  const final = weightsAfter(runUid, targetStep);
  const contents = eventsOf(world.history.events, "Contents");
  const { failures, disruptions, stalls } = fieldsOf(totals);
  const left = [pods, claims].flatMap((resource) => world.api.store.list(resource, namespace));
  return {
    state: stateIn(world, script),
    ledger: listOf(attempts).map((entry) => {
      const { number, cause, charge, reason, exitCode, finalCheckpoint } = fieldsOf(entry);
      return { number, cause, charge, reason, exitCode, finalCheckpoint };
    }),
    totals: { attempts: fieldsOf(totals).attempts, failures, disruptions, stalls },
    failuresLeft: fieldsOf(retry).failuresLeft,
    observed: fieldsOf(status).observedGeneration,
    hasFinalWeights: contents.some(({ whole }) => whole.some(({ content }) => content === final)),
    keptSteps: contents.map(({ whole }) => whole.length),
    created: writes.created.toSorted(),
    deleted: writes.deleted.toSorted(),
    left: left.map(({ object: { kind, metadata } }) => writes.plain(`${kind} ${metadata.name}`)).toSorted(),
  };
}
