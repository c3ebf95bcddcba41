import { type NamedTest, type PlantedBug, plantedBugs } from "../planted/catalogue.ts";
import { KeptRows, type PlantedRow } from "../planted/kept-rows.ts";
import { runTests, type TestRun } from "../planted/run-planted.ts";
import { type Simulated, type SoundSeeds, simulate, soundSeeds } from "../planted/simulate-planted.ts";
import { writeTable } from "../planted/table.ts";
import { type Measurement, median, type Result, rounded } from "./result.ts";

/** Two mistakes at a time: tests mostly wait. */
const lanes = 2;

/**
 * Puts each mistake of the catalogue into the code and runs the test that has to notice it. It is caught where that test
 * fails with the mistake and passes without; one that no test can be run for is not. Then the simulation plays seeds with
 * the mistake, until a check breaks. A measure that was stopped is gone on with where nothing has changed since. The table
 * of docs/simulation.md is written by it.
 */
export const planted: Measurement = {
  name: "planted",
  what: "mistakes put into the code one by one, and whether the test named for each fails",
  seconds: 1_500,
  limitMs: 90 * 60_000,
  run: measurePlanted,
};

async function measurePlanted(signal: AbortSignal): Promise<Result> {
  const kept = new KeptRows();
  const left = plantedBugs.filter(({ patch }) => kept.of(patch) === undefined);
  if (left.length < plantedBugs.length) console.log(`  ${plantedBugs.length - left.length} are known from before`);
  const [passing, sound] = await Promise.all([testsThatPass(left, signal), soundSeeds(signal)]);
  console.log(`  of ${sound.played} seeds ${sound.unsound.size} break something without a mistake`);
  await inLanes(left, async (bug) => {
    const row = await play(bug, { passing, sound, signal });
    kept.add(row);
    console.log(`  ${row.patch}: ${row.caught ? "caught" : "NOT CAUGHT"} (${row.by}), ${row.seconds} s; ${words(row)}`);
  });
  const rows = plantedBugs.flatMap(({ patch }) => kept.of(patch) ?? []);
  writeTable(rows);
  return plantedResult(rows);
}

/** What the rows come to. */
export function plantedResult(rows: readonly PlantedRow[]): Result {
  const caught = rows.filter((row) => row.caught);
  const uncaught = rows.filter((row) => !row.caught).map(({ patch, by }) => `${patch}: ${by}`);
  const seconds = rows.map((row) => row.seconds);
  const simulated = rows.filter((row) => row.simulated.check !== null);
  const seeds = simulated.map((row) => row.simulated.seeds);
  return {
    name: "planted",
    figures: {
      planted: rows.length,
      caught: caught.length,
      uncaught,
      medianSeconds: rounded(median(seconds)),
      slowestSeconds: Math.max(0, ...seconds),
      simulationCaught: simulated.length,
      simulationMedianSeeds: seeds.length === 0 ? null : median(seeds),
      simulationMostSeeds: Math.max(0, ...seeds),
      caughtBy: Object.fromEntries(caught.map(({ patch, by }) => [patch, by])),
      simulationCaughtBy: Object.fromEntries(
        simulated.map(({ patch, simulated: { check, seeds: after } }) => [patch, `${check} after ${after}`]),
      ),
    },
    goals: {
      planted: { goal: "30 mistakes or more", met: rows.length >= 30 },
      caught: { goal: "all of them", met: caught.length === rows.length },
    },
  };
}

/** The tests named by the catalogue that pass on the code as it is: only their failure shows anything. */
async function testsThatPass(bugs: readonly PlantedBug[], signal: AbortSignal): Promise<ReadonlySet<string>> {
  const titles = new Map<string, Set<string>>();
  for (const { test } of bugs) titles.set(test.file, (titles.get(test.file) ?? new Set()).add(test.title));
  const passing = new Set<string>();
  await inLanes([...titles], async ([file, of]) => {
    const run = await runTests({ file, titles: [...of] }, { signal });
    for (const title of of) {
      if (passes(run, title)) passing.add(keyOf({ file, title }));
      else console.log(`  without a mistake, in ${file}: ${title}: ${run.kind === "Ran" ? run.failed : run.why}`);
    }
  });
  return passing;
}

/** The tests that pass without a mistake, and the seeds that have been played without one. */
type Known = Readonly<{ passing: ReadonlySet<string>; sound: SoundSeeds; signal: AbortSignal }>;

async function play({ patch, test }: PlantedBug, { passing, sound, signal }: Known): Promise<PlantedRow> {
  const key = keyOf(test);
  const started = performance.now();
  const run: TestRun = passing.has(key)
    ? await runTests({ file: test.file, titles: [test.title] }, { patch, signal })
    : { kind: "NotRun", why: "it does not pass without the mistake" };
  const seconds = rounded((performance.now() - started) / 1_000);
  const simulated: Simulated = await simulate(patch, { sound, signal });
  const failed = run.kind === "Ran" ? run.failed[0] : undefined;
  const why = run.kind === "Ran" ? `${key} passes with it` : `${key} could not be run: ${run.why}`;
  return { patch, caught: failed !== undefined, by: failed ?? why, seconds, simulated };
}

/** Does the same with each of the items, so many at a time. */
async function inLanes<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = items.values();
  const lane = async () => {
    for (const item of left) await work(item);
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

function passes(run: TestRun, title: string): boolean {
  if (run.kind !== "Ran") return false;
  const concerns = (name: string) => name.includes(title);
  return run.passed.some(concerns) && !run.failed.some(concerns);
}

function keyOf({ file, title }: NamedTest): string {
  return `${file} ${title}`;
}

function words({ simulated: { check, seeds } }: PlantedRow): string {
  return check === null ? `no seed of ${seeds} breaks` : `${check} after ${seeds} seeds`;
}
