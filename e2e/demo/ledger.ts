import type { AttemptView, RunView } from "../harness/run-view.ts";
import type { AttemptRow } from "./report.ts";

const columns = [
  ["number", "attempt"],
  ["node", "node"],
  ["cause", "cause"],
  ["reason", "reason"],
  ["exitCode", "exit"],
  ["resumedFrom", "resumed from"],
  ["lastStep", "last step"],
  ["lostSteps", "lost"],
  ["finalCheckpoint", "final save"],
] as const;

/** The attempts of a run, oldest first, in words. */
export function ledgerRows(run: RunView): readonly AttemptRow[] {
  return run.status.attempts.toReversed().map((attempt: AttemptView) => ({
    number: attempt.number,
    node: attempt.pods.map(({ node }) => node ?? "none").join(", "),
    cause: attempt.cause ?? "(still running)",
    reason: attempt.reason ?? "",
    exitCode: `${attempt.exitCode ?? ""}`,
    resumedFrom: attempt.resumedFrom === undefined ? "nothing" : `step ${attempt.resumedFrom.step}`,
    lastStep: `${attempt.lastStep ?? ""}`,
    lostSteps: `${attempt.lostSteps ?? ""}`,
    finalCheckpoint: attempt.finalCheckpoint ?? "",
  }));
}

/** Prints the ledger as a table of fixed columns. */
export function printLedger(run: RunView): void {
  const cells = [
    columns.map(([, title]) => title),
    ...ledgerRows(run).map((row) => columns.map(([field]) => `${row[field]}`)),
  ];
  const widths = columns.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? "").length)));
  for (const row of cells) console.log(`  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  ")}`);
}
