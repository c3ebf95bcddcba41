import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { freshBudget, rebase, refill, withSpec } from "./budget.ts";
import { nextCatalogue } from "./catalogue.ts";
import type { AttemptFacts } from "./facts.ts";
import { instantOf, secondsText, timeOf } from "./instant.ts";
import { bookLostSteps, emptyTotals, openEntry } from "./ledger.ts";
import { forgetChoice, nextBase } from "./lineage.ts";
import { nextProgress, progressFromRecord } from "./progress.ts";

/** The status with everything that the open attempt's pod and agent have told. Decides nothing. */
export function learn(run: TrainingRun, facts: AttemptFacts | null): TrainingRunStatus {
  const status: TrainingRunStatus = {
    ...run.status,
    observedGeneration: run.metadata.generation,
    attempt: run.status.attempt ?? 0,
    base: forgetChoice(run.status.base, run),
    retry: withSpec(run.status.retry ?? freshBudget(run.spec.retry), run.spec.retry),
    totals: run.status.totals ?? emptyTotals,
  };
  const entry = openEntry(status);
  return entry === null || facts === null ? status : withFacts(run, status, { entry, facts });
}

function withFacts(
  run: TrainingRun,
  status: TrainingRunStatus,
  { entry, facts }: { entry: AttemptEntry; facts: AttemptFacts },
): TrainingRunStatus {
  const base = nextBase(status.base, entry, facts);
  const rolledBack = status.base !== undefined && base !== status.base;
  const known = rolledBack ? onNewLineage(status, facts) : status;
  const catalogue = nextCatalogue(known, facts);
  const retry = known.retry ?? freshBudget(run.spec.retry);
  const described = bookLostSteps(
    { ...known, attempts: [describe(entry, facts), ...(known.attempts ?? []).slice(1)] },
    facts,
  );
  return {
    ...described,
    ...catalogue,
    ...(base ? { base } : {}),
    ...progressOf(known, facts),
    retry: refill(retry, run.spec.retry, catalogue.latestVerified?.step),
  };
}

/** What was newest in the lineage that the user left is not newest in the one they chose. */
function onNewLineage(status: TrainingRunStatus, facts: AttemptFacts): TrainingRunStatus {
  const chosen = status.checkpoints?.find(({ digest }) => digest === facts.resumedFrom?.digest);
  return {
    ...status,
    ...(chosen ? { latestVerified: chosen } : {}),
    ...(status.retry ? { retry: rebase(status.retry, facts.resumedFrom?.step ?? 0) } : {}),
  };
}

function progressOf(status: TrainingRunStatus, facts: AttemptFacts): Pick<TrainingRunStatus, "progress"> {
  const polled = facts.progress ? nextProgress(status.progress, facts.progress) : status.progress;
  const ended = facts.trainerEndedAt;
  const ahead = facts.lastStep !== null && facts.lastStep !== polled?.step;
  if (ended !== null && ahead && facts.lastStep !== null) {
    return { progress: progressFromRecord(polled, { step: facts.lastStep, time: timeOf(ended) }) };
  }
  return polled ? { progress: polled } : {};
}

function describe(entry: AttemptEntry, facts: AttemptFacts): AttemptEntry {
  return {
    ...entry,
    ...(facts.opened ? { opened: true } : {}),
    ...(facts.resumedFrom ? { resumedFrom: facts.resumedFrom } : {}),
    ...(facts.firstStepAt === null ? {} : { firstStepTime: timeOf(facts.firstStepAt) }),
    ...(facts.lastStep === null ? {} : { lastStep: facts.lastStep }),
    ...(facts.finalCheckpoint === null ? {} : { finalCheckpoint: facts.finalCheckpoint }),
    ...(facts.graceUsedSeconds === null ? {} : { graceUsedSeconds: secondsText(facts.graceUsedSeconds * 1000) }),
    ...recovery(entry, facts),
  };
}

function recovery(entry: AttemptEntry, facts: AttemptFacts): Pick<AttemptEntry, "recoverySeconds"> {
  const { agentStartedAt, restoreSeconds, firstStepAt } = facts;
  if (agentStartedAt === null) return {};
  const restoredAt = restoreSeconds === null ? null : agentStartedAt + restoreSeconds * 1000;
  return {
    recoverySeconds: {
      ...entry.recoverySeconds,
      schedule: secondsText(agentStartedAt - instantOf(entry.startTime)),
      ...(restoreSeconds === null ? {} : { restore: secondsText(restoreSeconds * 1000) }),
      ...(restoredAt === null || firstStepAt === null ? {} : { firstStep: secondsText(firstStepAt - restoredAt) }),
    },
  };
}
