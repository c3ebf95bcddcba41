import { claims, pods } from "@trainingrun/operator/kubernetes/resource.ts";
import { eventsOf } from "../simulation/judge/history.ts";
import { fieldsOf, listOf } from "../simulation/model/api/object.ts";
import type { PlayWorld } from "../simulation/model/play-world.ts";
import { weightsAfter } from "../simulation/model/trainer/weights.ts";
import type { ScriptEnd } from "./cut.ts";
import type { Script } from "./script.ts";
import type { SimObjects } from "./sim-objects.ts";
import type { Tally } from "./sim-tally.ts";

/** A play that is over. */
export type Over = Readonly<{ script: Script; runUid: string; tally: Tally; objects: SimObjects }>;

/** What a play came to, as far as no cut may change it. Times and lost steps may differ. */
export function endOf(world: PlayWorld, over: Over): ScriptEnd {
  const common = { ...whatIsTold(world, over), ...whatIsStored(world, over) };
  return over.script.writers === "Pods" ? common : { ...common, ...whatOperatorsDid(world, over) };
}

/** The run's state; `Deleted` where it is gone. */
export function stateIn(world: PlayWorld, { run }: Script): string {
  const found = world.run(run.name);
  return found === undefined ? "Deleted" : String(fieldsOf(found.status).state ?? "New");
}

/** How many attempts of the run have ended. */
export function attemptsIn(world: PlayWorld, { run }: Script): number {
  return Number(fieldsOf(fieldsOf(world.run(run.name)?.status).totals).attempts ?? 0);
}

/** What the run says of itself, whatever it took: how the newest attempt ended, and which step is safe. */
function whatIsTold(world: PlayWorld, { script }: Over): ScriptEnd {
  const { attempts, latestVerified, observedGeneration } = fieldsOf(world.run(script.run.name)?.status);
  const [newest] = listOf(attempts);
  return {
    state: stateIn(world, script),
    ended: fieldsOf(newest).cause,
    verified: fieldsOf(latestVerified).step,
    observed: observedGeneration,
  };
}

/** Whether what is stored is what the run says, and what it has to come to. */
function whatIsStored(world: PlayWorld, { script, runUid, tally }: Over): ScriptEnd {
  const { namespace, name, targetStep, workers } = script.run;
  const { latestVerified } = fieldsOf(world.run(name)?.status);
  const { digest: told } = fieldsOf(latestVerified);
  const whole = eventsOf(world.history.events, "Contents").flatMap((contents) => contents.whole);
  const final = weightsAfter(runUid, targetStep, workers);
  return {
    hasFinalWeights: whole.some(({ content }) => content === final),
    hasWhatItTells: whole.some(({ digest }) => digest === told),
    claims: world.api.store.list(claims, namespace).map(({ object }) => tally.plain(object.metadata.name)),
  };
}

/** The whole ledger, and what was created and deleted by its name. */
function whatOperatorsDid(world: PlayWorld, { script, tally, objects }: Over): ScriptEnd {
  const { name, namespace, workers } = script.run;
  const { attempts, totals, retry } = fieldsOf(world.run(name)?.status);
  const { failures, disruptions, stalls } = fieldsOf(totals);
  const contents = eventsOf(world.history.events, "Contents");
  const left = world.api.store.list(pods, namespace);
  const nameOf = ({ object }: (typeof left)[number]) => tally.plain(object.metadata.name);
  return {
    ledger: listOf(attempts).map((entry) => {
      const { number, cause, charge, reason, exitCode, finalCheckpoint } = fieldsOf(entry);
      // A gang is over with the worker that is lost first: its exit code is told only by who comes when it has ended.
      return { number, cause, charge, reason, finalCheckpoint, ...(workers > 1 ? {} : { exitCode }) };
    }),
    totals: { attempts: fieldsOf(totals).attempts, failures, disruptions, stalls },
    failuresLeft: fieldsOf(retry).failuresLeft,
    keptSteps: contents.map(({ whole }) => whole.length),
    created: objects.created,
    // Of a gang those who were not asked to stop end by themselves, before somebody deletes them or after.
    ...(workers > 1 ? {} : { deleted: objects.deleted, pods: left.map(nameOf).toSorted() }),
  };
}
