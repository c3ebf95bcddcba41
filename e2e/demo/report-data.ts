import type { RunView } from "../harness/run-view.ts";
import type { WatchedRun } from "../harness/watched-run.ts";
import { ledgerRows } from "./ledger.ts";
import type { Check, DemoReport, Interruption } from "./report.ts";

type Seen = Readonly<{
  interrupted: WatchedRun & { weights: string };
  undisturbed: WatchedRun & { weights: string };
  scraped: DemoReport["scraped"];
  checks: readonly Check[];
  way: string;
  commit: string;
}>;

/** Turns what was watched into what the report shows. */
export function describeReport({ interrupted, undisturbed, scraped, checks, way, commit }: Seen): DemoReport {
  return {
    commit,
    way,
    startedAt: interrupted.run.metadata.creationTimestamp,
    losses: interrupted.losses,
    undisturbedLosses: historyOf(undisturbed.run),
    interruptions: interrupted.interruptions.map((one) => interruptionRow(interrupted.run, one)),
    attempts: ledgerRows(interrupted.run),
    refused: interrupted.run.status.refused,
    verified: interrupted.run.status.checkpoints,
    weights: { interrupted: interrupted.weights, undisturbed: undisturbed.weights },
    scraped,
    checks,
  };
}

function interruptionRow(run: RunView, one: WatchedRun["interruptions"][number]): Interruption {
  const { attempts } = run.status;
  const ended = attempts.find(({ number }) => number === one.attempt);
  const next = attempts.find(({ number }) => number === one.attempt + 1);
  return {
    kind: one.kind,
    attempt: one.attempt,
    atStep: ended?.lastStep ?? one.atStep,
    seconds: (one.atMs - Date.parse(run.metadata.creationTimestamp)) / 1000,
    resumedFromStep: next?.resumedFrom?.step ?? null,
    lostSteps: ended?.lostSteps ?? null,
    recoverySeconds: next?.firstStepTime === undefined ? null : (Date.parse(next.firstStepTime) - one.atMs) / 1000,
  };
}

/** The loss as the run's status kept it over all its steps: denser than what was seen in passing, and without attempts. */
function historyOf({ status }: RunView): DemoReport["undisturbedLosses"] {
  return (status.progress?.history ?? []).map(([step, loss]) => ({ step, loss: Number(loss), attempt: 1, seconds: 0 }));
}
