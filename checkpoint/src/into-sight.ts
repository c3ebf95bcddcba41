import { setTimeout as pause } from "node:timers/promises";
import type { Verdict } from "./verify.ts";

/** A volume on a network may show another node's new directory only so much later. */
export const visibleWithinMs = 60_000;

/** How often what is not in sight is looked for. */
export const usualEveryMs = 200;

type Waiting = Readonly<{
  /** By `performance.now()`: what is not in sight by then is missing. */
  until: number;
  everyMs?: number;
  signal?: AbortSignal | undefined;
}>;

/**
 * The verdict on a checkpoint that a log on this volume names, once the volume has had the time to show it: a record is
 * found by its number, and a directory in a list that this node may remember from before.
 */
export async function verifyInSight(
  verify: () => Promise<Verdict>,
  { until, everyMs = usualEveryMs, signal }: Waiting,
): Promise<Verdict> {
  for (;;) {
    const verdict = await verify();
    if (verdict.ok || verdict.reason !== "Missing" || performance.now() >= until) return verdict;
    await pause(everyMs, undefined, signal === undefined ? {} : { signal });
  }
}
