import type { Cause } from "../api/cause.ts";
import { type AttemptEntry, statusLimits, type Totals, type TrainingRunStatus } from "../api/status.ts";
import type { Ending } from "./cause.ts";
import type { AttemptFacts } from "./facts.ts";
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
  goodput: "0",
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
  from: string | undefined;
  now: Instant;
}>;

/** Puts a new attempt at the head of the ledger. What falls off its end lives on in the totals. */
export function beginEntry(
  status: TrainingRunStatus,
  { generation, podHash, from, now }: Beginning,
): TrainingRunStatus {
  const number = (status.attempt ?? 0) + 1;
  const last = status.attempts?.[0];
  const resumed = last?.endTime !== undefined && last.cause !== "Suspended" ? instantOf(last.endTime) : null;
  const entry: AttemptEntry = {
    number,
    generation,
    ...(podHash === undefined ? {} : { podHash }),
    pods: [],
    startTime: timeOf(now),
    ...(from === undefined ? {} : { from }),
    ...(resumed === null ? {} : { recoverySeconds: { detect: secondsText(now - resumed) } }),
  };
  return {
    ...status,
    attempt: number,
    startTime: status.startTime ?? timeOf(now),
    attempts: [entry, ...(status.attempts ?? [])].slice(0, statusLimits.attempts),
  };
}

/** Writes the end into the open entry and counts it: the one place where anything is counted (I9). */
export function endEntry(
  status: TrainingRunStatus,
  { ending, at, trainerEndedAt }: { ending: Ending; at: Instant; trainerEndedAt: Instant | null },
): TrainingRunStatus {
  const [entry, ...earlier] = status.attempts ?? [];
  if (entry === undefined || entry.endTime !== undefined) return status;
  const end = Math.max(at, instantOf(entry.startTime));
  const ended: AttemptEntry = {
    ...entry,
    endTime: timeOf(end),
    cause: ending.cause,
    charge: ending.charge,
    ...folded(entry.pods),
    ...(ending.reason === "" ? {} : { reason: ending.reason.slice(0, 63) }),
    ...(ending.message === "" ? {} : { message: ending.message.slice(0, 1024) }),
    ...(ending.exitCode === undefined ? {} : { exitCode: ending.exitCode }),
  };
  return {
    ...status,
    attempts: [ended, ...earlier],
    totals: count(status.totals ?? emptyTotals, ended, { end, trainingEnd: trainerEndedAt ?? end }),
  };
}

/** Every pod of a living attempt is on record, so that none is missed; of an ended one the first few are enough. */
function folded(pods: AttemptEntry["pods"]): Pick<AttemptEntry, "pods" | "podCount"> {
  if (pods.length <= statusLimits.pods) return { pods };
  return { pods: pods.slice(0, statusLimits.pods), podCount: pods.length };
}

/** How far an attempt is known to have come. What it resumed from an earlier one had done, unheard perhaps. */
export function reachedStep({ lastStep = 0, resumedFrom }: AttemptEntry): number {
  return Math.max(lastStep, resumedFrom?.step ?? 0);
}

/** Once an attempt has opened it is known what the ones before it lost: their last step less the one resumed from. */
export function bookLostSteps(status: TrainingRunStatus, facts: AttemptFacts): TrainingRunStatus {
  if (!facts.opened) return status;
  const [entry, ...earlier] = status.attempts ?? [];
  if (entry === undefined) return status;
  const resumed = facts.resumedFrom?.step ?? 0;
  const firstBooked = earlier.findIndex(({ lostSteps }) => lostSteps !== undefined);
  const unbooked = firstBooked === -1 ? earlier.length : firstBooked;
  if (unbooked === 0) return status;
  const booked = earlier.map((past, index) =>
    index < unbooked ? { ...past, lostSteps: Math.max(0, (past.lastStep ?? 0) - resumed) } : past,
  );
  const totals = status.totals ?? emptyTotals;
  const lostSteps =
    totals.lostSteps + booked.slice(0, unbooked).reduce((sum, { lostSteps }) => sum + (lostSteps ?? 0), 0);
  return { ...status, attempts: [entry, ...booked], totals: withGoodput({ ...totals, lostSteps }) };
}

function count(
  totals: Totals,
  entry: AttemptEntry,
  { end, trainingEnd }: { end: Instant; trainingEnd: Instant },
): Totals {
  const start = instantOf(entry.startTime) - Number(entry.recoverySeconds?.detect ?? 0) * 1000;
  const firstStep = entry.firstStepTime === undefined ? null : instantOf(entry.firstStepTime);
  const training = firstStep === null ? 0 : Math.max(0, trainingEnd - firstStep);
  const steps = Math.max(0, (entry.lastStep ?? 0) - (entry.resumedFrom?.step ?? 0));
  return withGoodput({
    ...totals,
    attempts: totals.attempts + 1,
    disruptions: totals.disruptions + (entry.charge === "Disruption" ? 1 : 0),
    failures: totals.failures + (entry.charge === "Failure" ? 1 : 0),
    stalls: totals.stalls + (entry.cause === "Stalled" ? 1 : 0),
    steps: totals.steps + (entry.lastStep === undefined ? 0 : steps),
    wallSeconds: totals.wallSeconds + Math.round((end - start) / 1000),
    trainingSeconds: totals.trainingSeconds + Math.round(training / 1000),
  });
}

function withGoodput(totals: Totals): Totals {
  const kept = totals.steps === 0 ? 1 : 1 - Math.min(1, totals.lostSteps / totals.steps);
  const share = totals.wallSeconds === 0 ? 0 : (totals.trainingSeconds / totals.wallSeconds) * kept;
  return { ...totals, goodput: Math.min(1, share).toFixed(3) };
}
