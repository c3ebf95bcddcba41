import { type PlantedBug, plantedBugs } from "../planted/catalogue.ts";
import { runTests, type TestRun } from "../planted/run-planted.ts";
import { type Measurement, median, type Result, rounded } from "./result.ts";

/**
 * Puts each mistake of the catalogue into the code and runs the test that has to notice it. It is caught where that test
 * fails with the mistake and passes without; one that no test can be run for is not.
 */
export const planted: Measurement = {
  name: "planted",
  what: "mistakes put into the code one by one, and whether the test named for each fails",
  seconds: 400,
  limitMs: 60 * 60_000,
  run: measurePlanted,
};

/** What became of one mistake. */
export type PlantedRow = Readonly<{
  patch: string;
  /** Null where a check of the simulation has to notice it, which is not played here. */
  caught: boolean | null;
  by: string;
  seconds: number;
}>;

async function measurePlanted(signal: AbortSignal): Promise<Result> {
  const sound = await testsThatPass(plantedBugs, signal);
  const rows: PlantedRow[] = [];
  for (const bug of plantedBugs) {
    const row = await play(bug, { sound, signal });
    rows.push(row);
    const words = row.caught === null ? "not played" : row.caught ? "caught" : "NOT CAUGHT";
    console.log(`  ${row.patch}: ${words} (${row.by}, ${row.seconds} s)`);
  }
  return plantedResult(rows);
}

/** What the rows come to. */
export function plantedResult(rows: readonly PlantedRow[]): Result {
  const caught = rows.filter((row) => row.caught === true);
  const uncaught = rows.filter((row) => row.caught === false).map(({ patch, by }) => `${patch}: ${by}`);
  const notPlayed = rows.filter((row) => row.caught === null).map(({ patch, by }) => `${patch}: ${by}`);
  const seconds = rows.filter((row) => row.caught !== null).map((row) => row.seconds);
  return {
    name: "planted",
    figures: {
      planted: rows.length,
      caught: caught.length,
      uncaught,
      notPlayed,
      medianSeconds: rounded(median(seconds)),
      slowestSeconds: Math.max(0, ...seconds),
      caughtBy: Object.fromEntries(caught.map(({ patch, by }) => [patch, by])),
    },
    goals: {
      planted: { goal: "30 mistakes or more", met: rows.length >= 30 },
      caught: { goal: "all of them", met: caught.length === rows.length },
    },
  };
}

/** The tests named by the catalogue that pass on the code as it is: only their failure shows anything. */
async function testsThatPass(bugs: readonly PlantedBug[], signal: AbortSignal): Promise<ReadonlySet<string>> {
  const tests = new Map(
    bugs.flatMap(({ catcher }) =>
      catcher.kind === "Test" ? [[`${catcher.file} ${catcher.title}`, catcher] as const] : [],
    ),
  );
  const sound = new Set<string>();
  for (const [key, test] of tests) {
    const run = await runTests(test, { signal });
    if (run.kind === "Ran" && run.failed.length === 0) sound.add(key);
    else console.log(`  without a mistake ${key}: ${run.kind === "Ran" ? run.failed.join(", ") : run.why}`);
  }
  return sound;
}

async function play(
  { patch, catcher }: PlantedBug,
  { sound, signal }: { sound: ReadonlySet<string>; signal: AbortSignal },
): Promise<PlantedRow> {
  if (catcher.kind === "Simulation") return { patch, caught: null, by: `check ${catcher.check}`, seconds: 0 };
  const key = `${catcher.file} ${catcher.title}`;
  if (!sound.has(key)) return { patch, caught: false, by: `${key} does not pass without it`, seconds: 0 };
  const started = performance.now();
  const run = await runTests(catcher, { patch, signal });
  const seconds = rounded((performance.now() - started) / 1000);
  return { patch, caught: run.kind === "Ran" && run.failed.length > 0, by: words(run, key), seconds };
}

function words(run: TestRun, key: string): string {
  if (run.kind === "NotRun") return `${key} could not be run: ${run.why}`;
  return run.failed[0] ?? `${key} passes with it`;
}
