import type { AttemptEntry, Base } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { Member } from "./cause.ts";
import type { AttemptFacts } from "./facts.ts";
import { hasStarted } from "./pod-end.ts";

/** `spec.resume.from` as it is kept in status: the same choice gives the same text. */
export function choiceOf(run: TrainingRun): string | undefined {
  const from = run.spec.resume.from;
  if (from === undefined) return undefined;
  return JSON.stringify(Object.fromEntries(Object.entries(from).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** The choice that the next attempt must be asked to open with; undefined once one has. */
export function choiceToTake(run: TrainingRun, base: Base | undefined): string | undefined {
  const choice = choiceOf(run);
  return choice === base?.from ? undefined : choice;
}

/**
 * The base after an attempt has opened. A new lineage begins with the first attempt, with every choice of the user,
 * and with every start from step 0: what was verified before is not in it.
 */
export function nextBase(base: Base | undefined, entry: AttemptEntry, facts: AttemptFacts): Base | undefined {
  if (!facts.opened || base?.sinceAttempt === entry.number) return base;
  const chosen = entry.from !== undefined && entry.from !== base?.from;
  if (base !== undefined && !chosen && facts.resumedFrom !== null) return base;
  const from = entry.from ?? base?.from;
  return {
    ...(facts.resumedFrom ? { step: facts.resumedFrom.step, digest: facts.resumedFrom.digest } : {}),
    sinceAttempt: entry.number,
    generation: entry.generation,
    ...(from === undefined ? {} : { from }),
  };
}

/** An attempt that was asked to open with a choice, and the worker 0 it had, at its end. */
export type Asked = Readonly<{ entry: AttemptEntry; leader: Member | undefined }>;

/**
 * The base after an attempt that was asked to open with a choice has ended and nobody ever heard whether it did. It
 * may have trained on from there, and taking the choice again would throw that away: so the choice counts as taken,
 * unless the attempt certainly never trained. Null where nothing is to be assumed.
 */
export function assumedBase(base: Base | undefined, { entry, leader }: Asked): Base | null {
  const { from, opened, number, generation } = entry;
  if (from === undefined || opened || from === base?.from || !mayHaveTrained(leader)) return null;
  return { sinceAttempt: number, generation, from };
}

/** An agent that leaves a record says whether it opened; without one, a trainer that ran may have been handed a start. */
function mayHaveTrained(leader: Member | undefined): boolean {
  if (leader === undefined) return false;
  if (leader.kind === "Gone") return leader.bound;
  const { agent, restore } = leader.pod;
  const said = (agent.record ?? restore?.record)?.attempt === leader.pod.attempt;
  return !said && hasStarted(leader.pod);
}

/** A choice that was taken may be made again once the user has taken it out of the spec. */
export function forgetChoice(base: Base | undefined, run: TrainingRun): Base | undefined {
  if (base?.from === undefined || choiceOf(run) !== undefined) return base;
  const { from: _, ...rest } = base;
  return rest;
}
