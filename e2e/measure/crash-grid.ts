import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Case, casesOf, faults, playCase } from "../../checkpoint/test/crash-grid/grid.ts";
import { scenarios } from "../../checkpoint/test/crash-grid/scenarios.ts";
import { whyNotTraced } from "../../checkpoint/test/crash-grid/strace.ts";
import { makeWorkspace } from "../../checkpoint/test/crash-grid/workspace.ts";
import { type Measurement, peakRssMiB, type Result } from "./result.ts";

/** Two processes and their tracers at a time. */
const lanes = 2;

/**
 * Cuts off every protocol of the volume at every one of its system calls there: killed before it, or failing with EIO or
 * ENOSPC. Held: readers find the previous state or the new one, whole; what was acknowledged is there; after an error the
 * process says so by name, and doing it again works.
 */
export const crashGrid: Measurement = {
  name: "crash-grid",
  what: "SIGKILL, EIO and ENOSPC at every system call of a save, a retention pass, a restore, a refusal and more",
  seconds: 900,
  limitMs: 90 * 60_000,
  run: measureCrashGrid,
};

/** What the cases of one scenario came to. */
export type GridRow = Readonly<{ calls: number; cases: number; held: number; acknowledged: number }>;

async function measureCrashGrid(signal: AbortSignal): Promise<Result> {
  const impossible = whyNotTraced();
  if (impossible !== null) throw new Error(`Cannot play the grid because ${impossible}`);
  const workspace = await makeWorkspace("trainingrun-crash-grid-");
  try {
    const byScenario: Record<string, GridRow> = {};
    const missed: string[] = [];
    for (const scenario of scenarios) {
      const recording = join(workspace, "recording");
      await mkdir(recording);
      const cases = await casesOf(scenario, recording);
      const played = await playAll(cases, workspace, signal);
      await rm(recording, { recursive: true, force: true });
      missed.push(...played.missed);
      const calls = cases.filter(({ fault }) => fault === "EIO").length;
      byScenario[scenario.name] = { calls, cases: cases.length, held: played.held, acknowledged: played.acknowledged };
      console.log(`  ${scenario.name}: ${played.held} of ${cases.length} held`);
    }
    return crashGridResult({ byScenario, missed });
  } finally {
    await rm(workspace, { recursive: true, force: true });
  }
}

type Played = Readonly<{ held: number; acknowledged: number; missed: readonly string[] }>;

async function playAll(cases: readonly Case[], workspace: string, signal: AbortSignal): Promise<Played> {
  const left = cases.values();
  const missed: string[] = [];
  const sums = { held: 0, acknowledged: 0 };
  const lane = async (_: unknown, index: number): Promise<void> => {
    for (const one of left) {
      signal.throwIfAborted();
      const { problem, acknowledged } = await playCase(one, join(workspace, `lane-${index}`));
      if (problem === null) sums.held += 1;
      else missed.push(`${one.scenario.name}: ${one.fault} at ${one.call} ${one.when} of ${one.path}: ${problem}`);
      if (acknowledged) sums.acknowledged += 1;
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  return { ...sums, missed };
}

/** What the rows come to. */
export function crashGridResult(seen: {
  byScenario: Readonly<Record<string, GridRow>>;
  missed: readonly string[];
}): Result {
  const rows = Object.values(seen.byScenario);
  const sum = (field: keyof GridRow) => rows.reduce((total, row) => total + row[field], 0);
  const [cases, held] = [sum("cases"), sum("held")];
  return {
    name: "crash-grid",
    figures: {
      peakRssMiB: peakRssMiB(),
      faults,
      calls: sum("calls"),
      cases,
      held,
      acknowledged: sum("acknowledged"),
      ...seen,
    },
    goals: {
      cases: {
        goal: "every scenario, each with 40 cases or more",
        met: rows.length === scenarios.length && rows.every((row) => row.cases >= 40),
      },
      held: { goal: "all of them", met: held === cases && seen.missed.length === 0 },
    },
  };
}
