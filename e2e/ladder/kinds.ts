import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";

/** What one kind of test came to. `why` says what made tests skip. */
export type Count = Readonly<{ passed: number; failed: number; skipped: number; why?: string }>;

/** One rung of the ladder. */
export type Kind = Readonly<{ name: string; what: string; usually: string; run: () => Promise<Count> }>;

/** Cheapest first, so that a mistake shows early. */
export const kinds: readonly Kind[] = [
  { name: "types", what: "tsc over the whole tree", usually: "5 s", run: () => command("tsc", ["--noEmit"]) },
  { name: "lint", what: "Biome, format and rules", usually: "1 s", run: () => command("biome", ["check", "."]) },
  {
    name: "generated",
    what: "CRD, reference and JSON schema are those the zod schema gives",
    usually: "1 s",
    run: () => command("node", ["operator/generate.ts", "--check"]),
  },
  { name: "unit", what: "tables, properties, golden, attacks, kills", usually: "3 min", run: () => vitest("unit") },
  { name: "apiserver", what: "against a real API server", usually: "3 min", run: () => vitest("apiserver") },
  { name: "cluster", what: "end to end on a real cluster", usually: "10 min", run: () => vitest("cluster") },
];

/** The longest a kind may take, so that a hang ends as a failure with a name. */
const kindLimitMs = 40 * 60_000;

async function command(program: string, args: readonly string[]): Promise<Count> {
  const code = await run(program, args);
  return code === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 };
}

const Report = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  numTodoTests: z.int(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.unknown()) })),
});

/** Runs one Vitest project; a file that broke before its first test counts as one failure, and so does no report at all. */
async function vitest(project: string): Promise<Count> {
  const directory = await mkdtemp(join(tmpdir(), "trainingrun-ladder-"));
  const outputFile = join(directory, "report.json");
  const code = await run("vitest", [
    "run",
    "--project",
    project,
    "--reporter=default",
    "--reporter=json",
    `--outputFile.json=${outputFile}`,
  ]);
  const text = await readFile(outputFile, "utf8").catch(() => "");
  await rm(directory, { recursive: true, force: true });
  if (text === "") return { passed: 0, failed: 1, skipped: 0, why: `vitest left no report, exit ${code}` };
  const report = Report.parse(JSON.parse(text));
  const broken = report.testResults.filter((file) => file.status === "failed" && file.assertionResults.length === 0);
  const failed = report.numFailedTests + broken.length;
  return {
    passed: report.numPassedTests,
    // Vitest exits non-zero for errors outside tests too (an unhandled rejection): those must not pass as green.
    failed: failed === 0 && code !== 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
    ...(report.numPendingTests > 0 && { why: "what the tests needed is missing here; they say what" }),
  };
}

function run(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: ["ignore", "inherit", "inherit"], timeout: kindLimitMs });
    child.on("error", reject);
    child.on("exit", (code) => resolve(code ?? 1));
  });
}
