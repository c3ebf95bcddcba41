import type { Kind, Rung } from "./kinds.ts";
import type { Count } from "./tally.ts";

/** What became of one kind. */
export type Row = Readonly<{ name: string; count: Count; seconds: number }>;

type Options = Readonly<{ signal: AbortSignal; say: (line: string) => void }>;

/**
 * Climbs the ladder rung by rung, and goes on after a rung that failed. A kind that breaks is a failure; one that was not
 * begun because the climb was stopped counts as skipped. Never throws: there is always something to say at the end.
 */
export async function climb(rungs: readonly Rung[], options: Options): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const rung of rungs) rows.push(...(await Promise.all(rung.map((kind) => rowOf(kind, options)))));
  return rows;
}

async function rowOf({ name, what, usually, run }: Kind, { signal, say }: Options): Promise<Row> {
  if (signal.aborted) {
    const notes = [`not begun, because the tests were ${reasonOf(signal)}`];
    return { name, count: { passed: 0, failed: 0, skipped: 1, notes }, seconds: 0 };
  }
  say(`\n=== ${name}: ${what} (usually ${usually})`);
  const begun = performance.now();
  const count = await run(signal).catch(broken);
  return {
    name,
    count: signal.aborted ? withFailure(count, `it was ${reasonOf(signal)}`) : count,
    seconds: (performance.now() - begun) / 1000,
  };
}

/** A line per kind with what it has to say, and as the last one `N passed, N failed, N skipped`. */
export function summary(rows: readonly Row[]): readonly string[] {
  const sum = (pick: (count: Count) => number) => rows.reduce((total, { count }) => total + pick(count), 0);
  const lines = rows.flatMap(({ name, count, seconds }) => [
    `${name}: ${count.passed} ok, ${count.failed} not ok, ${count.skipped} left out, ${seconds.toFixed(0)} s`,
    ...count.notes.map((note) => `  ${note.replaceAll(/\s+/g, " ").slice(0, 300)}`),
  ]);
  const total = `${sum((c) => c.passed)} passed, ${sum((c) => c.failed)} failed, ${sum((c) => c.skipped)} skipped`;
  return [...lines, total];
}

/** Whether every kind ran and nothing failed. */
export function allPassed(rows: readonly Row[], { aborted }: AbortSignal): boolean {
  return !aborted && rows.length > 0 && rows.every(({ count }) => count.failed === 0);
}

function broken(error: unknown): Count {
  return { passed: 0, failed: 1, skipped: 0, notes: [error instanceof Error ? error.message : String(error)] };
}

function withFailure(count: Count, note: string): Count {
  return { ...count, failed: Math.max(1, count.failed), notes: [note, ...count.notes] };
}

function reasonOf({ reason }: AbortSignal): string {
  return reason instanceof Error ? reason.message : String(reason);
}
