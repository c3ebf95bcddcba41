import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { freshBudget, rebase, refill, withSpec } from "./budget.ts";
import { nextCatalogue, summaryOf } from "./catalogue.ts";
import type { AttemptFacts } from "./facts.ts";
import { livingSpan, withGoodput } from "./goodput.ts";
import { instantOf, secondsText, timeOf } from "./instant.ts";
import { bookLostSteps, emptyTotals, openEntry } from "./ledger.ts";
import { forgetChoice, nextBase } from "./lineage.ts";
import { nextProgress, progressFromRecord } from "./progress.ts";
import { slackOf } from "./suspect.ts";

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
  const leftBehind = status.base !== undefined && base !== status.base;
  const known = leftBehind ? onNewLineage(status, entry, facts) : status;
  const catalogue = nextCatalogue(known, facts);
  const retry = known.retry ?? freshBudget(run.spec.retry);
  const described = { ...known, attempts: [describe(entry, facts), ...(known.attempts ?? []).slice(1)] };
  const booked = facts.opened ? bookLostSteps(described, keptStep(status, entry, facts)) : described;
  const progress = progressOf(known, entry, facts);
  return {
    ...booked,
    ...catalogue,
    ...(base ? { base } : {}),
    ...progress,
    ...intervalOf(facts),
    totals: withGoodput(booked.totals ?? emptyTotals, livingSpan({ ...booked, ...progress })),
    // By what the agent says of its own lineage: status may still hold the newest of one that was left.
    retry: refill(retry, run.spec.retry, facts.latestVerified?.step),
  };
}

/** What an attempt opens with was not lost. Nor was what its user left behind by choosing an older one. */
function keptStep(
  { latestVerified }: TrainingRunStatus,
  { from }: AttemptEntry,
  { resumedFrom }: AttemptFacts,
): number {
  const resumed = resumedFrom?.step ?? 0;
  return from === undefined ? resumed : Math.max(resumed, latestVerified?.step ?? 0);
}

/** What was newest in the lineage that was left is not newest in the one that begins, and progress counts from its base. */
function onNewLineage(
  status: TrainingRunStatus,
  { from }: AttemptEntry,
  { resumedFrom }: AttemptFacts,
): TrainingRunStatus {
  const chosen = summaryOf(status.checkpoints?.find(({ digest }) => digest === resumedFrom?.digest));
  const fromNothing = resumedFrom === null;
  // From step 0 again, since nothing was ever saved: a run that is killed before its first save gets nowhere.
  const isNothingLeft = fromNothing && status.latestVerified === undefined;
  return {
    ...status,
    ...(chosen ? { latestVerified: chosen } : {}),
    // From step 0 nothing of what was on record can be resumed from any more.
    ...(fromNothing ? { latestVerified: undefined, best: undefined, checkpoints: undefined } : {}),
    // Whoever chose has seen to it: what crashed before may be at fault no more.
    ...(from === undefined || from === status.base?.from ? {} : { suspects: undefined }),
    ...(status.retry && !isNothingLeft ? { retry: rebase(status.retry, resumedFrom?.step ?? 0) } : {}),
  };
}

function progressOf(
  { progress }: TrainingRunStatus,
  { lastStep }: AttemptEntry,
  facts: AttemptFacts,
): Pick<TrainingRunStatus, "progress"> {
  const hearing = { at: facts.heardAt, isFirst: lastStep === undefined };
  const polled = facts.progress ? nextProgress(progress, facts.progress, hearing) : progress;
  const ended = facts.trainerEndedAt;
  const ahead = facts.lastStep !== null && facts.lastStep !== polled?.step;
  if (ended !== null && ahead && facts.lastStep !== null) {
    return { progress: progressFromRecord(polled, { step: facts.lastStep, time: timeOf(ended) }) };
  }
  return polled ? { progress: polled } : {};
}

function intervalOf({ progress }: AttemptFacts): Pick<TrainingRunStatus, "interval"> {
  if (progress?.interval === undefined) return {};
  const { seconds, why } = progress.interval;
  return { interval: { seconds: secondsText(seconds * 1000), why } };
}

function describe(entry: AttemptEntry, facts: AttemptFacts): AttemptEntry {
  return {
    ...entry,
    ...(facts.opened ? { opened: true } : {}),
    ...(facts.resumedFrom ? { resumedFrom: facts.resumedFrom } : {}),
    ...(facts.firstStepAt === null ? {} : { firstStepTime: timeOf(facts.firstStepAt) }),
    ...(facts.lastStep === null ? {} : { lastStep: facts.lastStep }),
    ...slack(entry, facts),
    ...(facts.finalCheckpoint === null
      ? {}
      : { finalCheckpoint: facts.finalCheckpoint, graceSeconds: facts.graceSeconds }),
    ...(facts.graceUsedSeconds === null ? {} : { graceUsedSeconds: secondsText(facts.graceUsedSeconds * 1000) }),
    ...facts.resume,
    ...(facts.dump === null ? {} : { dump: facts.dump }),
    ...(facts.fences === null ? {} : { fences: facts.fences }),
    ...recovery(entry, facts),
  };
}

function slack({ lastStepSlack }: AttemptEntry, { progress }: AttemptFacts): Pick<AttemptEntry, "lastStepSlack"> {
  const now = progress === null ? 0 : slackOf(progress.stepsPerSecond);
  return progress === null || (now === 0 && lastStepSlack === undefined) ? {} : { lastStepSlack: now };
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
