import { readFileSync } from "node:fs";
import { join } from "node:path";
import { leaseTiming } from "@trainingrun/operator/kubernetes/lease.ts";
import { parse } from "yaml";
import { allChecks } from "../simulation/judge/checks.ts";
import { judge } from "../simulation/judge/oracle.ts";
import { fieldsOf } from "../simulation/model/api/object.ts";
import { trainingRunKind } from "../simulation/model/api/run-kind.ts";
import { lookAtBucket, lookAtVolumes } from "../simulation/model/final-look.ts";
import { PlayWorld } from "../simulation/model/play-world.ts";
import { weightsAfter } from "../simulation/model/trainer/weights.ts";
import type { Plan } from "../simulation/plan/draw.ts";
import { expectedOfPlan } from "../simulation/plan/heal.ts";
import type { Cut, ScriptPlay } from "./cut.ts";
import type { Script } from "./script.ts";
import { SimDeeds } from "./sim-deeds.ts";
import { attemptsIn, endOf, stateIn } from "./sim-end.ts";
import { SimObjects } from "./sim-objects.ts";
import { cutOperators } from "./sim-operator-writes.ts";
import { cutPods } from "./sim-pod-writes.ts";
import { Tally } from "./sim-tally.ts";

const seed = 1;
const healMs = 60 * 60_000;
const settleMs = 60_000;
const quietMs = 3 * 60_000;
const limits = { requests: { perSecond: 55, burst: 105 }, blindMs: 60_000, lagSeconds: 60 } as const;
/** What a leader has sent is at the server by then. */
const travelMs = 100;
const definitionPath = join(import.meta.dirname, "../../crds/trainingrun.dev_trainingruns.yaml");
const runKind = trainingRunKind(fieldsOf(parse(readFileSync(definitionPath, "utf8"))));
let devices = 0;

/** Plays a script to its end, with one write cut or none. An operator that dies is started again three seconds later. */
export async function playScript(script: Script, cut: Cut | null): Promise<ScriptPlay> {
  const plan = planOf(script);
  const world = new PlayWorld({ seed, scenario: plan.scenario, keep: 0, runKind, nextDevice });
  const { scheduler, history } = world;
  const tally = new Tally(cut);
  const objects = new SimObjects(world, tally);
  const deeds = new SimDeeds(world, script);
  if (script.writers === "Operators") cutOperators(world, tally);
  else cutPods(world, tally);
  history.note({ kind: "Part", part: "Chaos" });
  const runUid = await begin(world, { script, deeds });
  tally.runUid = runUid;
  await scheduler.stepUntil(() => deeds.areDone, { untilMs: healMs });
  history.note({ kind: "Part", part: "Heal" });
  const hasEnded = await scheduler.stepUntil(() => stateIn(world, script) === script.end, {
    untilMs: scheduler.now + healMs,
  });
  await scheduler.stepUntil(() => false, { untilMs: scheduler.now + settleMs });
  tally.end();
  history.note({ kind: "Part", part: "Quiet" });
  await scheduler.stepUntil(() => false, { untilMs: scheduler.now + quietMs });
  await lookAtVolumes(world);
  if (script.run.hasBucket) await lookAtBucket(world, [runUid]);
  history.note({ kind: "Part", part: "End" });
  world.operators.end();
  for (const machine of world.cluster.machines) machine.cutPower();
  return {
    writes: tally.seen,
    wasCut: tally.wasCut,
    attempts: attemptsIn(world, script),
    end: endOf(world, { script, runUid, tally, objects }),
    broken: [
      ...(deeds.areDone ? [] : [`the cue of ${deeds.next} never came`]),
      ...(hasEnded ? [] : [`it is ${stateIn(world, script)} and should be ${script.end}`]),
      ...violationsOf(world, { script, plan, runUid, mayLackUploads: mayLackUploads(script, cut) }),
    ],
  };
}

function planOf({ run, operators }: Script): Plan {
  const scenario = { runs: [run], nodes: 2, operators, noise: { share: 0, longestMs: 0 }, skewsMs: {} };
  return { seed, scenario, faults: [], chaosMs: 0 };
}

/** An agent that dies over its last upload leaves it to the next attempt, which no run waits for that has a volume. */
function mayLackUploads({ writers }: Script, cut: Cut | null): boolean {
  return writers === "Pods" && cut !== null && cut.how !== "Lost";
}

function nextDevice(): number {
  devices += 1;
  return devices;
}

/** Has the run created and its operators started, all in the first instant; returns the run's uid. */
async function begin(world: PlayWorld, { script, deeds }: { script: Script; deeds: SimDeeds }): Promise<string> {
  const { scheduler } = world;
  let uid = "";
  scheduler.after(scheduler.world, 0, () => {
    uid = world.createRun(script.run.name).metadata.uid;
    for (let index = 0; index < script.operators; index += 1) world.operators.keep(index);
    deeds.begin();
  });
  await scheduler.stepUntil(() => uid !== "", { untilMs: 1 });
  return uid;
}

type Seen = Readonly<{ script: Script; plan: Plan; runUid: string; mayLackUploads: boolean }>;

/** What every check of the judge has to say of the play. */
function violationsOf({ history }: PlayWorld, { script, plan, runUid, mayLackUploads }: Seen): readonly string[] {
  const finals = new Map([[script.run.name, weightsAfter(runUid, script.run.targetStep, script.run.workers)]]);
  const lease = script.operators > 1 ? { durationMs: leaseTiming.leaseMs, travelMs } : null;
  const expected = expectedOfPlan(plan, { limits: { ...limits, lease }, finals });
  const hasHealthyStorage = !script.deeds.some(({ deed }) => deed === "CutNodeOff");
  const runs = expected.runs.map((run) => ({ ...run, end: script.end, hasHealthyStorage, mayLackUploads }));
  const { violations } = judge(history, { ...expected, runs }, allChecks);
  return violations.map(({ check, atMs, what }) => `${check} at ${Math.round(atMs)} ms: ${what}`);
}
