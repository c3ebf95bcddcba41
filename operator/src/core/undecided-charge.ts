import { type AttemptEntry, statusLimits, type TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { backoffMs } from "./backoff.ts";
import { freshBudget, giveBack } from "./budget.ts";
import { isTrue } from "./conditions.ts";
import type { Disruption } from "./disruption.ts";
import { add, type Draft } from "./draft.ts";
import { endOfRun } from "./end-of-run.ts";
import { instantOf, timeOf } from "./instant.ts";
import { countCharge, isUndecided } from "./ledger.ts";
import type { Observed } from "./observed.ts";
import { behind, lossAmong } from "./peer-loss.ts";
import { fail } from "./settle.ts";

//   a gang's end is charged to the program ──► undecided ──(a minute)──► counted as a failure
//                                                    └──(a node or pod of it turns out to be lost)──► counted as a disruption
//
// The peers of a dying node crash before anybody calls it lost. The next attempt does not wait for that; but the run does
// not end by a charge that is undecided.

/**
 * Counts the ends of gangs whose cost is known by now. What the failure has spent of the budget is given back where the
 * loss of a node was behind it.
 */
export function decideCharges(observed: Observed, draft: Draft): Draft {
  const undecided = (draft.status.attempts ?? []).filter(isUndecided).toReversed();
  return undecided.reduce((sum, entry) => decideCharge(observed, sum, entry), draft);
}

/** Why the run will end once the charge of its newest attempt is counted, and when that is; null where it will not. */
export function heldEnd(run: TrainingRun, status: TrainingRunStatus): { due: string; message: string } | null {
  const due = status.attempts?.[0]?.chargeDueTime;
  const end = due === undefined ? null : endOfRun(run, status);
  return due === undefined || end === null ? null : { due, message: end.message };
}

function decideCharge(observed: Observed, draft: Draft, entry: AttemptEntry): Draft {
  const loss = lossOfEntry(observed, entry);
  if (loss !== null) return ended(observed, withLoss(observed, draft, { entry, loss }), entry);
  const left = instantOf(entry.chargeDueTime ?? entry.startTime) - observed.now;
  const isLastOnRecord = draft.status.attempts?.[statusLimits.attempts - 1] === entry;
  if (left > 0 && !isLastOnRecord) return add(draft, observed, { waits: [left] });
  return ended(observed, add(draft, observed, { status: countCharge(draft.status, entry.number) }), entry);
}

function lossOfEntry({ pods, nodes }: Observed, entry: AttemptEntry): Disruption | null {
  return lossAmong(
    entry.pods.map(({ uid, node }) => ({
      pod: pods.find((pod) => pod.uid === uid),
      node: nodes.find(({ name }) => name === node),
    })),
  );
}

type Late = Readonly<{ entry: AttemptEntry; loss: Disruption }>;

function withLoss(observed: Observed, draft: Draft, { entry, loss }: Late): Draft {
  const { number } = entry;
  const words = behind(loss, entry);
  const { charge = "Nothing" } = words;
  const message = `Attempt ${number} is no failure of the program (${entry.cause}): ${loss.message}`.slice(0, 1024);
  return add(draft, observed, {
    status: countCharge(withBudget(observed, draft.status, { entry, charge }), number, words),
    events: [{ type: "Normal", reason: "FailureTakenBack", message }],
  });
}

function withBudget(
  { run, now }: Observed,
  status: TrainingRunStatus,
  { entry, charge }: Pick<Late, "entry"> & Pick<AttemptEntry, "charge">,
): TrainingRunStatus {
  const { attempts = [], retry = freshBudget(run.spec.retry), suspects } = status;
  const index = attempts.indexOf(entry);
  const later = attempts.slice(0, index).filter((each) => each.charge === "Failure").length;
  const given = entry.charge === "Failure" ? giveBack(retry, run.spec.retry, later) : retry;
  const budget = charge === "Disruption" ? { ...given, disruptions: given.disruptions + 1 } : given;
  const isInfected = suspects?.some((suspect) => isBy(suspect, entry));
  return {
    ...status,
    retry: index === 0 ? withDue(run, budget, { number: entry.number, now }) : budget,
    ...(isInfected ? { suspects: suspects?.filter((suspect) => !isBy(suspect, entry)) } : {}),
  };
}

/** A checkpoint that this end had made a suspect: the end was none of its doing. */
function isBy(
  suspect: Readonly<{ digest: string; stuckAt: number }>,
  { resumedFrom, lastStep }: AttemptEntry,
): boolean {
  return suspect.digest === resumedFrom?.digest && suspect.stuckAt === lastStep;
}

/** What follows a disruption waits no longer than after one, and not at all where it had advanced. */
function withDue(
  { spec, metadata }: TrainingRun,
  budget: NonNullable<TrainingRunStatus["retry"]>,
  { number, now }: { number: number; now: number },
): NonNullable<TrainingRunStatus["retry"]> {
  const { nextAttemptTime, ...rest } = budget;
  const { fruitless, failures } = budget;
  const how = { charge: "Disruption", advanced: fruitless === 0, fruitless, failures } as const;
  const wait = backoffMs({ ...how, ...spec.retry.backoff, runUid: metadata.uid, attempt: number });
  if (nextAttemptTime === undefined || wait === 0) return rest;
  return { ...rest, nextAttemptTime: timeOf(Math.min(instantOf(nextAttemptTime), now + wait)) };
}

/** The run ends with its newest attempt where that is counted at last, unless it has ended already. */
function ended(observed: Observed, draft: Draft, { number }: AttemptEntry): Draft {
  const { attempts, conditions } = draft.status;
  if (attempts?.[0]?.number !== number || isTrue(conditions, "Failed") || isTrue(conditions, "Complete")) return draft;
  const end = endOfRun(observed.run, draft.status);
  return end === null ? draft : fail(observed, draft, end);
}
