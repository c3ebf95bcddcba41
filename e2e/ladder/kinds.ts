import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { clearLitter } from "./litter.ts";
import { runRungProcess } from "./rung-process.ts";
import { type Count, countTally, tallyVariable } from "./tally.ts";

/** One kind of test. */
export type Kind = Readonly<{
  name: string;
  what: string;
  usually: string;
  run: (signal: AbortSignal) => Promise<Count>;
}>;

/** Kinds that run beside each other. */
export type Rung = readonly Kind[];

/** Cheapest first, so that a mistake shows early. What mostly waits for servers and pods shares a rung. */
export const rungs: readonly Rung[] = [
  [{ name: "types", what: "tsc over the whole tree", usually: "5 s", run: command("tsc", ["--noEmit"]) }],
  [{ name: "lint", what: "Biome, format and rules", usually: "1 s", run: command("biome", ["check", "."]) }],
  [
    {
      name: "generated",
      what: "CRD, reference and JSON schema are those the zod schema gives",
      usually: "1 s",
      run: command("node", ["operator/generate.ts", "--check"]),
    },
  ],
  [{ name: "unit", what: "tables, properties, golden, attacks, kills", usually: "4 min", run: vitest("unit") }],
  [
    { name: "apiserver", what: "against a real API server", usually: "13 min", run: vitest("apiserver") },
    { name: "store", what: "against real object stores", usually: "9 min", run: vitest("store") },
    { name: "cluster", what: "end to end on a real cluster", usually: "12 min", run: vitest("cluster") },
  ],
];

/** The longest a kind may take, so that a hang ends as a failure with a name. */
const commandLimitMs = 10 * 60_000;
const vitestLimitMs = 40 * 60_000;

function command(program: string, args: readonly string[]): Kind["run"] {
  return async (signal) => {
    const code = await runRungProcess(program, args, { limitMs: commandLimitMs, signal });
    return code === 0
      ? { passed: 1, failed: 0, skipped: 0, notes: [] }
      : { passed: 0, failed: 1, skipped: 0, notes: [`${program} ended with exit code ${code}`] };
  };
}

/**
 * Runs one Vitest project. Its tests get a temporary directory of their own, so that what they leave there can be found and
 * ended; having left a cluster or a process is a failure.
 */
function vitest(project: string): Kind["run"] {
  return async (signal) => {
    const directory = await mkdtemp(join(tmpdir(), "trainingrun-ladder-"));
    try {
      const tally = join(directory, "tally.jsonl");
      const args = ["run", "--project", project, "--reporter=default", `--reporter=${reporter}`];
      const env = { [tallyVariable]: tally, TMPDIR: directory };
      const code = await runRungProcess("vitest", args, { env, limitMs: vitestLimitMs, signal });
      const count = countTally(await readFile(tally, "utf8").catch(() => ""), code);
      const litter = await clearLitter(directory);
      return { ...count, failed: count.failed + litter.length, notes: [...count.notes, ...litter] };
    } finally {
      // After a failure above; otherwise nothing is there any more.
      await clearLitter(directory);
    }
  };
}

const reporter = join(import.meta.dirname, "tally-reporter.ts");
