import type { Chance } from "../host/chance.ts";
import type { RunScenario } from "./scenario.ts";

/** So many of the plans have a gang: it costs several times what a run of one worker does. */
const gangShare = 0.1;

/**
 * The first run of some plans becomes a gang of two to four workers, which save into one volume. Two gangs that each have a
 * part of the nodes would wait for each other, so no plan has a second.
 */
export function asGang(run: RunScenario, { chance, index }: Readonly<{ chance: Chance; index: number }>): RunScenario {
  const row = chance.row("gang", "workers");
  if (index > 0 || !row.hits(gangShare)) return run;
  return { ...run, workers: 2 + row.below(3), volume: "ReadWriteMany" };
}
