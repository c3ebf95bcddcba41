import { expect } from "vitest";
import type { TrainingRunStatus } from "../src/api/status.ts";
import { unsupportedField } from "../src/core/supported.ts";
import { runWith } from "./run-builder.ts";
import { sharedVolume, type World } from "./world.ts";

/* What the properties do with a model of the cluster. */

const isLetThrough = (workers: number) =>
  unsupportedField(runWith({ spec: { workers, checkpoint: { volume: sharedVolume } } })) === null;
/** How many workers the runs of the properties have, half of them one: gangs are played where they may begin. */
export const gangSizes: readonly number[] = [1, 1, 2, 3].filter(isLetThrough);

/** The status of the model's run. */
export const statusOf = (world: World) => world.status as TrainingRunStatus;

/** Whether the run has ended, either way. */
export const isOver = (world: World) => statusOf(world).state === "Complete" || statusOf(world).state === "Failed";

/** The operator passes until it has nothing to write: more than a few passes would be a spin. */
export function settleOperator(world: World, cut: () => number = () => Number.POSITIVE_INFINITY): void {
  for (let pass = 0; pass < 30; pass += 1) {
    if (!world.pass({ limit: cut() }).wrote) return;
  }
  throw new Error("The operator still writes after 30 passes in an unchanged world");
}

/** The same for one that dies after so many writes of each pass, and begins anew. */
export function settleCut(world: World, limit: () => number): void {
  for (let pass = 0; pass < 200; pass += 1) {
    const cut = limit();
    const { wrote } = world.pass({ limit: cut });
    if (!wrote && cut > 0) return;
  }
  throw new Error("The operator still writes after 200 passes in an unchanged world");
}

/** What the ends of gangs cost is known after a minute. */
export function settleCharges(world: World): void {
  world.wait(61_000);
  settleOperator(world);
}

/** The attempts whose pods are alive. */
export const attemptsOf = (pods: readonly Readonly<{ attempt: number }>[]) =>
  new Set(pods.map(({ attempt }) => attempt));

/** Faults stop: nodes are heard of, pods start, train, save and finish as they should. */
export function heal(world: World, cut?: () => number): void {
  const { events } = world;
  for (let round = 0; round < 100 && !isOver(world); round += 1) {
    for (const event of [
      events.thaw,
      events.resume,
      events.editBack,
      events.terminate,
      events.start,
      events.train,
      events.save,
      events.finish,
      events.tick,
    ]) {
      event();
      settleOperator(world, cut);
    }
  }
}

/**
 * Plays the events in two worlds that were alike, in `cut` with an operator that dies after so many writes of each pass
 * while there are cuts left: both must come to the same end, by the same creations and removals. Returns how often it died.
 */
export function playCut(
  { plain, cut }: Readonly<{ plain: World; cut: World }>,
  events: readonly (keyof World["events"])[],
  cuts: readonly number[],
): number {
  let next = 0;
  let crashes = 0;
  const limit = () => {
    const value = cuts[next++];
    if (value !== undefined) crashes += 1;
    return value ?? Number.POSITIVE_INFINITY;
  };
  for (const event of events) {
    plain.events[event]();
    settleOperator(plain);
    cut.events[event]();
    settleCut(cut, limit);
  }
  heal(plain);
  heal(cut);
  expect(cut.creates).toEqual(plain.creates);
  expect(cut.deletes).toEqual(plain.deletes);
  expect(cut.status).toEqual(plain.status);
  return crashes;
}
