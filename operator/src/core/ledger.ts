import type { Cause } from "../api/cause.ts";
import {
  type AttemptEntry,
  type ForkedFrom,
  type QueuePlace,
  statusLimits,
  type Totals,
  type TrainingRunStatus,
} from "../api/status.ts";
import type { Ending } from "./cause.ts";
import { beganAt, stepsOf, trainingMs, withGoodput } from "./goodput.ts";
import { instantOf, secondsText, timeOf } from "./instant.ts";
import type { Instant } from "./observed.ts";

/** Totals before anything has happened. */
export const emptyTotals: Totals = {
  attempts: 0,
  disruptions: 0,
  failures: 0,
  stalls: 0,
  steps: 0,
  lostSteps: 0,
  wallSeconds: 0,
  trainingSeconds: 0,
};

/** Ends that are the user's own will: they say nothing about whether the run gets on. */
const wanted: readonly Cause[] = ["Complete", "Suspended", "Superseded", "DeadlineExceeded", "RunDeleted"];

export function isWanted(cause: Cause): boolean {
  return wanted.includes(cause);
}

/** How many attempts in a row, the newest first, were thrown away for an edit. */
export function supersededInARow({ attempts = [] }: TrainingRunStatus): number {
  const other = attempts.findIndex(({ cause }) => cause !== "Superseded");
  return other === -1 ? attempts.length : other;
}

/** The entry of the attempt that lives; null when none does. Only the newest entry can be open. */
export function openEntry(status: TrainingRunStatus): AttemptEntry | null {
  const newest = status.attempts?.[0];
  return newest !== undefined && newest.endTime === undefined ? newest : null;
}

/** What an attempt begins with: the spec that it runs, and what it was asked to open with. */
export type Beginning = Readonly<{
  generation: number;
  podHash?: string;
  workers?: number;
  queue?: QueuePlace | undefined;
  from: string | undefined;
  source?: ForkedFrom;
  now: Instant;
}>;

/** The number of the attempt that begins next (I8). */
export function nextNumber({ attempt = 0 }: TrainingRunStatus): number {
  return attempt + 1;
}

/** Puts a new attempt at the head of the ledger. What falls off its end lives on in the totals. */
export function beginEntry(
  status: TrainingRunStatus,
  { generation, podHash, workers = 1, queue, from, source, now }: Beginning,
): TrainingRunStatus {
  const number = nextNumber(status);
  const last = status.attempts?.[0];
  const resumed = last?.endTime !== undefined && last.cause !== "Suspended" ? instantOf(last.endTime) : null;
  const entry: AttemptEntry = {
    number,
    generation,
    ...(podHash === undefined ? {} : { podHash }),
    ...(workers === 1 ? {} : { workers }),
    ...(queue === undefined ? {} : { queue }),
    pods: [],
    startTime: timeOf(now),
    ...(from === undefined ? {} : { from }),
    ...(source === undefined ? {} : { source }),
    ...(resumed === null ? {} : { recoverySeconds: { detect: secondsText(now - resumed) } }),
  };
  return {
    ...status,
    attempt: number,
    startTime: status.startTime ?? timeOf(now),
    attempts: [entry, ...(status.attempts ?? [])].slice(0, statusLimits.attempts),
  };
}

/** The end is on record, and what it costs may still turn out to be less. */
export function isUndecided({ endTime, chargeDueTime }: AttemptEntry): boolean {
  return endTime !== undefined && chargeDueTime !== undefined;
}

/**
 * How an attempt ended. `at` and `trainerEndedAt` are of its node's clock, `now` is the operator's. `dueAt`: what it costs
 * is counted only then, or once more is known.
 */
export type EndOfAttempt = Readonly<{
  ending: Ending;
  at: Instant;
  trainerEndedAt: Instant | null;
  now: Instant;
  dueAt?: Instant | undefined;
  /** Of a gang: the node on which its checkpoints did not verify. */
  suspectNode?: string | undefined;
}>;

/** Writes the end into the open entry and counts it, here and in {@link countCharge} alone (I9). */
export function endEntry(
  status: TrainingRunStatus,
  { ending, at, trainerEndedAt, now, dueAt, suspectNode }: EndOfAttempt,
): TrainingRunStatus {
  const [entry, ...earlier] = status.attempts ?? [];
  if (entry === undefined || entry.endTime !== undefined) return status;
  const start = instantOf(entry.startTime);
  // What cannot be is of a clock that is off: then it ended when that was seen.
  const end = Math.max(start, at < start || at > now ? now : at);
  const ended: AttemptEntry = {
    ...entry,
    endTime: timeOf(end),
    cause: ending.cause,
    charge: ending.charge,
    ...(dueAt === undefined ? folded(entry.pods) : { chargeDueTime: timeOf(dueAt) }),
    ...(suspectNode === undefined ? {} : { suspectNode }),
    ...(ending.reason === "" ? {} : { reason: ending.reason.slice(0, 63) }),
    ...(ending.message === "" ? {} : { message: ending.message.slice(0, 1024) }),
    ...(ending.exitCode === undefined ? {} : { exitCode: ending.exitCode }),
  };
  const totals = count(status.totals ?? emptyTotals, ended, {
    end,
    trainingEnd: lastStepAt(status) ?? trainerEndedAt ?? end,
  });
  return {
    ...status,
    attempts: [ended, ...earlier],
    totals: dueAt === undefined ? withCharge(totals, ended) : totals,
  };
}

/** Counts what the end of an attempt costs after all, once: as it stands, or as `known` says. */
export function countCharge(
  status: TrainingRunStatus,
  number: number,
  known: Partial<Pick<AttemptEntry, "cause" | "charge" | "reason" | "message">> = {},
): TrainingRunStatus {
  const entry = status.attempts?.find((each) => each.number === number);
  if (entry === undefined || !isUndecided(entry)) return status;
  const { chargeDueTime: _, ...ended } = entry;
  const decided: AttemptEntry = { ...ended, ...known, ...folded(entry.pods) };
  return {
    ...status,
    attempts: status.attempts?.map((each) => (each === entry ? decided : each)),
    totals: withCharge(status.totals ?? emptyTotals, decided),
  };
}

function withCharge(totals: Totals, { cause, charge }: AttemptEntry): Totals {
  return {
    ...totals,
    disruptions: totals.disruptions + (charge === "Disruption" ? 1 : 0),
    failures: totals.failures + (charge === "Failure" ? 1 : 0),
    stalls: totals.stalls + (cause === "Stalled" ? 1 : 0),
  };
}

/** Every pod of a living attempt is on record, so that none is missed; of an ended one the first few are enough. */
function folded(pods: AttemptEntry["pods"]): Pick<AttemptEntry, "pods" | "podCount"> {
  if (pods.length <= statusLimits.pods) return { pods };
  // By worker, however they came to be: worker 0 must be among them.
  const byWorker = pods.toSorted((a, b) => (a.worker ?? 0) - (b.worker ?? 0));
  return { pods: byWorker.slice(0, statusLimits.pods), podCount: pods.length };
}

/** How far an attempt is known to have come. What it resumed from an earlier one had done, unheard perhaps. */
export function reachedStep({ lastStep = 0, resumedFrom }: AttemptEntry): number {
  return Math.max(lastStep, resumedFrom?.step ?? 0);
}

/**
 * Books what ended attempts lost that have lost nothing on record yet: their last step less the one that was kept. It is
 * known once another attempt has opened, or once none will.
 */
export function bookLostSteps(status: TrainingRunStatus, keptStep: number): TrainingRunStatus {
  const { attempts = [] } = status;
  const living = attempts.filter(({ endTime }) => endTime === undefined);
  const ended = attempts.slice(living.length);
  const firstBooked = ended.findIndex(({ lostSteps }) => lostSteps !== undefined);
  const unbooked = firstBooked === -1 ? ended.length : firstBooked;
  if (unbooked === 0) return status;
  const fresh = ended
    .slice(0, unbooked)
    .map((past) => ({ ...past, lostSteps: Math.max(0, (past.lastStep ?? 0) - keptStep) }));
  const totals = status.totals ?? emptyTotals;
  const lostSteps = fresh.reduce((sum, past) => sum + past.lostSteps, totals.lostSteps);
  const booked = [...living, ...fresh, ...ended.slice(unbooked)];
  return { ...status, attempts: booked, totals: withGoodput({ ...totals, lostSteps }, null) };
}

/** When the attempt's last step was done, by its trainer's clock, where that is known. */
function lastStepAt({ attempts, progress }: TrainingRunStatus): Instant | null {
  const lastStep = attempts?.[0]?.lastStep;
  return lastStep === undefined || progress?.step !== lastStep ? null : instantOf(progress.lastUpdateTime);
}

function count(
  totals: Totals,
  entry: AttemptEntry,
  { end, trainingEnd }: { end: Instant; trainingEnd: Instant },
): Totals {
  const start = beganAt(entry);
  return withGoodput(
    {
      ...totals,
      attempts: totals.attempts + 1,
      steps: totals.steps + stepsOf(entry),
      wallSeconds: totals.wallSeconds + Math.round((end - start) / 1000),
      trainingSeconds: totals.trainingSeconds + Math.round(trainingMs(entry, trainingEnd, end - start) / 1000),
    },
    null,
  );
}
