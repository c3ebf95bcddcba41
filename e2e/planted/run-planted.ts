import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { plantedEnvironment, root } from "./planted-sources.ts";

/** Tests by their file and parts of their titles. */
export type Tests = Readonly<{ file: string; titles: readonly string[] }>;

/** What running tests came to: the full names of those that passed and failed, or why none was run. */
export type TestRun =
  | Readonly<{ kind: "Ran"; passed: readonly string[]; failed: readonly string[] }>
  | Readonly<{ kind: "NotRun"; why: string }>;

/** A mistake may have its test wait for what never comes, past every limit that the test has. */
const longestRunMs = 4 * 60_000;
/** What Vitest may take to close what its tests have started. */
const lastWordMs = 20_000;

/**
 * Runs tests of the tree, with a mistake in its code or as it is. Files on the disk stay as they are: the mistake is put
 * in where the code is loaded, in Vitest and in the Node programs that tests start.
 */
export async function runTests(
  { file, titles }: Tests,
  { patch, signal }: { patch?: string; signal: AbortSignal },
): Promise<TestRun> {
  const directory = await mkdtemp(join(tmpdir(), "trainingrun-planted-"));
  try {
    const report = join(directory, "report.json");
    const pattern = titles.map(literal).join("|");
    const output = await vitest([file, "-t", pattern, "--reporter=json", `--outputFile=${report}`], { patch, signal });
    const text = await readFile(report, "utf8").catch(() => null);
    if (text === null) return { kind: "NotRun", why: output.slice(-2_000) };
    return outcomeOf(Report.parse(JSON.parse(text)));
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** What a report says. A file that cannot be loaded has no test that failed: that shows nothing about the mistake. */
export function outcomeOf({ testResults }: Report): TestRun {
  const results = testResults.flatMap(({ assertionResults }) => assertionResults);
  const named = (wanted: string) => results.flatMap(({ status, fullName }) => (status === wanted ? [fullName] : []));
  const [passed, failed] = [named("passed"), named("failed")];
  if (failed.length + passed.length > 0) return { kind: "Ran", passed, failed };
  const messages = testResults.map(({ message }) => message).join("\n");
  return { kind: "NotRun", why: messages === "" ? "no test has that title" : messages.slice(0, 2_000) };
}

/** The part of Vitest's JSON report that tells how tests ended. */
const Report = z.object({
  testResults: z.array(
    z.object({
      message: z.string().default(""),
      assertionResults: z.array(z.object({ status: z.string(), fullName: z.string() })),
    }),
  ),
});
type Report = z.infer<typeof Report>;

const config = join(import.meta.dirname, "vitest.planted.config.ts");
const vitestProgram = join(root, "node_modules/vitest/vitest.mjs");

/** What Vitest writes, also where it is ended because it takes too long. */
async function vitest(
  args: readonly string[],
  { patch, signal }: { patch: string | undefined; signal: AbortSignal },
): Promise<string> {
  const child = spawn(process.execPath, [vitestProgram, "run", "--config", config, ...args], {
    cwd: root,
    env: { ...process.env, ...(patch === undefined ? {} : plantedEnvironment(patch)) },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let hardStop: NodeJS.Timeout | undefined;
  // Its own children end with it: SIGTERM lets it close what its tests have started.
  const stop = () => {
    child.kill("SIGTERM");
    hardStop ??= setTimeout(() => child.kill("SIGKILL"), lastWordMs);
  };
  const limit = AbortSignal.any([signal, AbortSignal.timeout(longestRunMs)]);
  limit.addEventListener("abort", stop, { once: true });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  try {
    await new Promise<void>((resolve, reject) => child.once("error", reject).once("close", () => resolve()));
    signal.throwIfAborted();
    const output = Buffer.concat(chunks).toString("utf8");
    return limit.aborted ? `${output}\nended after ${longestRunMs / 1_000} s` : output;
  } finally {
    clearTimeout(hardStop);
    limit.removeEventListener("abort", stop);
  }
}

function literal(title: string): string {
  return title.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
