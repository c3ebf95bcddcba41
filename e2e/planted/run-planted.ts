import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import { plantedVariable, root } from "./planted-sources.ts";

/** Tests by their file and a part of their title. */
export type Tests = Readonly<{ file: string; title: string }>;

/** What running tests came to: which of them failed, or why none was run. */
export type TestRun =
  | Readonly<{ kind: "Ran"; passed: number; failed: readonly string[] }>
  | Readonly<{ kind: "NotRun"; why: string }>;

/**
 * Runs tests of the tree, with a mistake in its code or as it is. Files on the disk stay as they are: the mistake is put
 * in where the code is loaded, in Vitest and in the Node programs that tests start.
 */
export async function runTests(
  { file, title }: Tests,
  { patch, signal }: { patch?: string; signal: AbortSignal },
): Promise<TestRun> {
  const directory = await mkdtemp(join(tmpdir(), "trainingrun-planted-"));
  try {
    const report = join(directory, "report.json");
    const output = await vitest([file, "-t", literal(title), "--reporter=json", `--outputFile=${report}`], {
      patch,
      signal,
    });
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
  const failed = results.filter(({ status }) => status === "failed").map(({ fullName }) => fullName);
  const passed = results.filter(({ status }) => status === "passed").length;
  if (failed.length + passed > 0) return { kind: "Ran", passed, failed };
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
const hook = pathToFileURL(join(import.meta.dirname, "plant-hook.ts"));
const vitestProgram = join(root, "node_modules/vitest/vitest.mjs");

async function vitest(
  args: readonly string[],
  { patch, signal }: { patch: string | undefined; signal: AbortSignal },
): Promise<string> {
  const planted = patch === undefined ? {} : { [plantedVariable]: patch, NODE_OPTIONS: `--import=${hook}` };
  const child = spawn(process.execPath, [vitestProgram, "run", "--config", config, ...args], {
    cwd: root,
    env: { ...process.env, ...planted },
    stdio: ["ignore", "pipe", "pipe"],
  });
  // Its own children end with it: SIGTERM lets it close what its tests have started.
  const stop = () => void child.kill("SIGTERM");
  signal.addEventListener("abort", stop, { once: true });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  try {
    await new Promise<void>((resolve, reject) => child.once("error", reject).once("close", () => resolve()));
    signal.throwIfAborted();
    return Buffer.concat(chunks).toString("utf8");
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

function literal(title: string): string {
  return title.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
