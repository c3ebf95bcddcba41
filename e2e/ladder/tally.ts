import { z } from "zod";

/** The variable that tells the reporter where to write. */
export const tallyVariable = "TRAININGRUN_TALLY";

const Line = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("test"),
    name: z.string(),
    outcome: z.enum(["passed", "failed", "skipped"]),
    note: z.string().optional(),
  }),
  z.object({ kind: z.literal("broken"), what: z.string(), message: z.string() }),
  z.object({ kind: z.literal("end"), reason: z.string() }),
]);

/** One line of what the reporter writes down. */
export type TallyLine = z.input<typeof Line>;

/** What one kind of test came to; the notes name each failure with its first error, and say why tests were skipped. */
export type Count = Readonly<{ passed: number; failed: number; skipped: number; notes: readonly string[] }>;

/**
 * Counts the lines of a test run. Whatever keeps it from being a clean run is a failure of its own, so that nothing which
 * crashed, never started or came to no end is taken for passed.
 */
export function countTally(text: string, exitCode: number): Count {
  const lines = text.split("\n").flatMap(readLine);
  const tests = lines.filter((line) => line.kind === "test");
  const count = (outcome: string) => tests.filter((test) => test.outcome === outcome).length;
  const failed = tests.filter(({ outcome }) => outcome === "failed");
  const broken = lines.flatMap((line) => (line.kind === "broken" ? [`${line.what}: ${line.message}`] : []));
  const hasEnded = lines.some(({ kind }) => kind === "end");
  if (!hasEnded) broken.push(`the tests came to no end: exit code ${exitCode}`);
  else if (tests.length + broken.length === 0) broken.push("not one test was found");
  else if (exitCode !== 0 && failed.length + broken.length === 0)
    broken.push(`exit code ${exitCode}, and no test says why`);
  return {
    passed: count("passed"),
    failed: failed.length + broken.length,
    skipped: count("skipped"),
    notes: [...broken, ...failed.map(({ name, note }) => `${name}: ${note ?? "failed"}`), ...skipNotes(tests)],
  };
}

/** A line that cannot be read counts as broken: the disk was full, say, or the writer was killed amid it. */
function readLine(text: string): readonly z.infer<typeof Line>[] {
  if (text === "") return [];
  try {
    return [Line.parse(JSON.parse(text))];
  } catch {
    return [{ kind: "broken", what: "what the tests wrote down", message: `it cannot be read: ${text.slice(0, 80)}` }];
  }
}

function skipNotes(tests: readonly Extract<z.infer<typeof Line>, { kind: "test" }>[]): string[] {
  const counts = new Map<string, number>();
  for (const { outcome, note = "" } of tests) {
    if (outcome === "skipped") counts.set(note, (counts.get(note) ?? 0) + 1);
  }
  return [...counts].map(([note, count]) => `${count} skipped: ${note}`);
}
