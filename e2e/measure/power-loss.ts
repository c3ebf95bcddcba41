import { rm } from "node:fs/promises";
import { join } from "node:path";
import { whyNotTraced } from "../../checkpoint/test/crash-grid/strace.ts";
import { makeWorkspace } from "../../checkpoint/test/crash-grid/workspace.ts";
import { plantedMistakes } from "../../checkpoint/test/planted/catalogue.ts";
import { judgePowerLoss } from "../../checkpoint/test/power-loss/judge.ts";
import { recordAll } from "../../checkpoint/test/power-loss/recordings.ts";
import type { StateCount } from "../../checkpoint/test/power-loss/states.ts";
import { type Measurement, peakRssMiB, type Result } from "./result.ts";

/** The most states of one instant; an instant with fewer is looked at in all of them. */
const atOnce = 600;
const seed = 1;

/**
 * Records what every protocol of the volume asks of the disk, and cuts the power at every instant of it: what is not synced
 * is lost in part, names in any order, files by sectors of 512 bytes. Held: readers find the previous state or the new one,
 * whole, and what was acknowledged. Then the same with mistakes planted, each of which has to show.
 */
export const powerLoss: Measurement = {
  name: "power-loss",
  what: "what a power cut may leave at every instant of a save, a retention pass, a restore, a refusal and more",
  seconds: 400,
  limitMs: 60 * 60_000,
  run: measurePowerLoss,
};

/** What the states of one recording came to: `exhausted` of its `cuts` were looked at in every state they have. */
export type PowerLossRow = StateCount & Readonly<{ held: number }>;

async function measurePowerLoss(signal: AbortSignal): Promise<Result> {
  const impossible = whyNotTraced();
  if (impossible !== null) throw new Error(`Cannot record system calls because ${impossible}`);
  const workspace = await makeWorkspace("trainingrun-power-loss-");
  try {
    const byScenario: Record<string, PowerLossRow> = {};
    const missed: string[] = [];
    for (const recording of await recordAll(join(workspace, "recordings"))) {
      const { count, held, problems } = await judgePowerLoss(recording, { atOnce, seed, signal });
      byScenario[recording.scenario.name] = { ...count, held };
      missed.push(...problems);
      console.log(`  ${recording.scenario.name}: ${held} of ${count.distinct} different states held`);
    }
    const uncaught: string[] = [];
    const planted = await plantedMistakes(join(workspace, "planted"));
    for (const { mistake, recording } of planted) {
      const { problems } = await judgePowerLoss(recording, { atOnce, seed, maxProblems: 1, signal });
      if (problems.length === 0) uncaught.push(`${recording.scenario.name}: ${mistake}`);
    }
    return powerLossResult({ byScenario, missed, planted: planted.length, uncaught });
  } finally {
    await rm(workspace, { recursive: true, force: true });
  }
}

/** What the rows come to. */
export function powerLossResult(seen: {
  byScenario: Readonly<Record<string, PowerLossRow>>;
  missed: readonly string[];
  planted: number;
  uncaught: readonly string[];
}): Result {
  const rows = Object.values(seen.byScenario);
  const sum = (field: keyof PowerLossRow) => rows.reduce((total, row) => total + row[field], 0);
  const [distinct, held] = [sum("distinct"), sum("held")];
  const caught = seen.planted - seen.uncaught.length;
  return {
    name: "power-loss",
    figures: {
      peakRssMiB: peakRssMiB(),
      cuts: sum("cuts"),
      exhausted: sum("exhausted"),
      states: sum("states"),
      distinct,
      held,
      caught,
      ...seen,
    },
    goals: {
      states: {
        goal: "8 recordings or more, each with some states",
        met: rows.length >= 8 && rows.every((row) => row.distinct > 0),
      },
      held: { goal: "all different states", met: held === distinct && seen.missed.length === 0 },
      caught: { goal: "all planted mistakes, 15 or more", met: seen.uncaught.length === 0 && seen.planted >= 15 },
    },
  };
}
