import type { Progress } from "./progress.ts";

/** What is known of a save: how many this process made before it, what the last of them took, and how much it writes. */
export type KnownOfSave = Readonly<{ committed: number; lastSeconds: number; bytes: number }>;

/** For how long a save has been going on, and had been when something of it last moved, where that is told. */
export type TimeOfSave = Readonly<{ seconds: number; movedSeconds?: number | undefined }>;

/** So many times what it should take, nothing of a save may move: volumes that others use too have slow hours. */
const slack = 5;
/** What a save should write in a second, before one was measured. */
const unmeasuredBytesPerSecond = 50e6;
/**
 * A volume may be as slow as this, whatever it was before: many are fast for a while and then throttled. What a node has
 * taken into its memory becomes durable in one call, of which nobody sees how far it is.
 */
const slowestBytesPerSecond = 2e6;
const leastUntilStuckSeconds = 120;
const leastPatienceSeconds = 600;

/** For how long nothing of a save has moved. One that does not tell has not moved since it began. */
export function idleSecondsOf({ seconds, movedSeconds = 0 }: TimeOfSave): number {
  return Math.max(0, seconds - movedSeconds);
}

/** After so many seconds in which nothing of it has moved a save is called stuck, and people are told. */
export function stuckAfterSeconds(save: KnownOfSave): number {
  return Math.max(leastUntilStuckSeconds, Math.ceil(slack * usualSeconds(save)));
}

/**
 * For so many seconds nothing of a save may move before it is left to itself. As long, from the first of them on, are tries
 * of a last save repeated that fail: a full volume is full until the agent has pruned, or until somebody has made room.
 */
export function savePatienceSeconds(save: KnownOfSave): number {
  const slowestSeconds = save.bytes / slowestBytesPerSecond;
  return Math.ceil(Math.max(leastPatienceSeconds, slack * usualSeconds(save), slowestSeconds));
}

/**
 * So long after a finished run's saving last moved the attempt fails at the latest: a save that hangs is left, and another
 * tried in its place. The trainer goes by it, and the agent waits at least as long before it calls the end of a training a
 * stall.
 */
export function finalSavePatienceSeconds(save: KnownOfSave): number {
  return 2 * savePatienceSeconds(save);
}

/** No further step is to come, only the last evaluation and the final save. */
export function isFinishing({ step, targetStep, phase }: Pick<Progress, "step" | "targetStep" | "phase">): boolean {
  return step >= targetStep || phase === "Finishing";
}

/** {@link finalSavePatienceSeconds} by what a trainer tells: of the save in flight, and without one of the last. */
export function toldFinalSavePatienceSeconds({ saves }: Pick<Progress, "saves">): number {
  return finalSavePatienceSeconds({ ...saves, bytes: saves.inFlight?.bytes ?? saves.lastBytes });
}

function usualSeconds({ committed, lastSeconds, bytes }: KnownOfSave): number {
  return committed > 0 ? lastSeconds : bytes / unmeasuredBytesPerSecond;
}
