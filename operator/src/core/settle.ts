import type { AttemptEntry, RetryStatus, TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { backoffMs } from "./backoff.ts";
import { charge, freshBudget, reaching, rebase } from "./budget.ts";
import { classify, type Ending, type Member, restoreFailure } from "./cause.ts";
import type { RunEvent } from "./decision.ts";
import { add, type Draft } from "./draft.ts";
import { endOfRun } from "./end-of-run.ts";
import { endedAttempt } from "./ended-attempt.ts";
import { timeOf } from "./instant.ts";
import { bookLostSteps, endEntry, isUndecided, isWanted, reachedStep, supersededInARow } from "./ledger.ts";
import { assumedBase, choiceOf } from "./lineage.ts";
import { finalNotMirrored } from "./mirror-health.ts";
import { readBackNode, readBackReason } from "./node-suspicion.ts";
import type { Instant, Observed } from "./observed.ts";
import { behind, lossAmong, mayFollowFromLoss, monitorGraceMs, peersOf } from "./peer-loss.ts";
import { membersOf, type Survey } from "./survey.ts";
import { newSuspect } from "./suspect.ts";
import { workerOf, workersOf } from "./workers.ts";

/** So many attempts in a row that an edit threw away are followed at once. */
const freeSuperseded = 3;

/**
 * Closes the open attempt once nothing of it can run: names the cause, counts it once, and says what follows.
 * The next attempt may begin in the same pass.
 */
export function settle(observed: Observed, draft: Draft, scene: Survey): Draft {
  const { entry, ended } = scene;
  if (entry === null) return draft;
  const neverHadPods =
    scene.members.length === 0 && entry.pods.length === 0 && draft.status.stop?.attempt === entry.number;
  if (ended === null && !neverHadPods) return draft;
  // Nobody looks for the pods of a closed attempt: one that is not found by its labels would keep our finalizer for good.
  if (scene.members.some(({ pod }) => pod.altered.length > 0)) return draft;
  const members = membersOf(scene, observed);
  const ending = withLoss(entry, classify(endedAttempt(observed.run, draft.status, members)), members);
  const dueAt = mayBeLoss(entry, ending) ? observed.now + monitorGraceMs : undefined;
  const trainerEndedAt = scene.members.flatMap(({ pod }) =>
    pod.trainer.state.kind === "Terminated" && pod.trainer.state.finishedAt !== null
      ? [pod.trainer.state.finishedAt]
      : [],
  );
  const {
    stop: _stop,
    silence: _silence,
    ...status
  } = endEntry(draft.status, {
    ending,
    at: ended?.at ?? observed.now,
    trainerEndedAt: trainerEndedAt.length === 0 ? null : Math.max(...trainerEndedAt),
    now: observed.now,
    dueAt,
    suspectNode: workersOf(entry) > 1 ? suspectNode(entry, ending, members) : undefined,
  });
  const counted = { ...draft, status, events: [...draft.events, endEvent(entry.number, ending, dueAt)] };
  return follow(observed, withChoiceTaken(observed.run, counted, members), ending);
}

/** Of several nodes, the one that a pod of the gang suspects: of one alone it is on record. */
function suspectNode(entry: AttemptEntry, { cause, reason }: Ending, members: readonly Member[]): string | undefined {
  if (cause !== "NodeSuspect") return undefined;
  if (reason === readBackReason) return readBackNode(entry);
  const [node] = members.flatMap((member) => {
    const suspects = member.kind === "Pod" && restoreFailure(member, member.pod.attempt)?.failure === "NodeSuspect";
    return suspects ? (member.pod.node ?? []) : [];
  });
  return node;
}

/** A gang that crashed because a peer was lost was disrupted. */
function withLoss(entry: AttemptEntry, ending: Ending, members: readonly Member[]): Ending {
  const loss = workersOf(entry) > 1 && mayFollowFromLoss(ending) ? lossAmong(peersOf(members)) : null;
  return loss === null ? ending : { ...ending, ...behind(loss, ending) };
}

/** The peers of a node that dies crash before anybody calls it lost: what that costs is known a little later. */
function mayBeLoss(entry: AttemptEntry, ending: Ending): boolean {
  return workersOf(entry) > 1 && mayFollowFromLoss(ending);
}

/** Consumes a choice with the end of the attempt that may have taken it, and tells how to make it again. */
function withChoiceTaken(run: TrainingRun, draft: Draft, members: readonly Member[]): Draft {
  const { status } = draft;
  const entry = status.attempts?.[0];
  if (entry === undefined) return draft;
  const first = entry.pods.find((pod) => workerOf(entry, pod) === 0);
  const leader = members.find((member) => uidOf(member) === first?.uid);
  const base = assumedBase(status.base, { entry, leader });
  if (base === null) return draft;
  const step = choiceOf(run) === base.from ? run.spec.resume.from?.step : undefined;
  const retry = status.retry && step !== undefined ? { retry: rebase(status.retry, step) } : {};
  const message = `Nothing was heard of attempt ${entry.number}, so the chosen ${base.from} counts as taken: what was trained since is kept. To take it again, remove spec.resume.from and then set it again.`;
  const event: RunEvent = { type: "Warning", reason: "ResumeChoiceUncertain", message: message.slice(0, 1024) };
  return { ...draft, status: { ...status, base, ...retry, suspects: undefined }, events: [...draft.events, event] };
}

function uidOf(member: Member): string {
  return member.kind === "Gone" ? member.uid : member.pod.uid;
}

function follow(observed: Observed, draft: Draft, ending: Ending): Draft {
  const entry = draft.status.attempts?.[0];
  if (entry === undefined) return draft;
  if (ending.cause === "Complete") return complete(observed, draft, ending.message);
  if (ending.cause === "DeadlineExceeded")
    return fail(observed, draft, { reason: "DeadlineExceeded", message: ending.message });
  const { run } = observed;
  const before = draft.status.retry ?? freshBudget(run.spec.retry);
  const reached = reachedStep(entry);
  if (isWanted(ending.cause)) {
    const kept = reaching(before, reached);
    const wait = ending.cause === "Superseded" ? supersededWait(run, draft.status) : 0;
    return { ...draft, status: { ...draft.status, retry: wait === 0 ? kept : due(kept, observed.now + wait) } };
  }
  const { budget, advanced } = charge(before, run.spec.retry, { charge: ending.charge, reached });
  const wait = backoffMs({
    charge: ending.charge,
    advanced,
    fruitless: budget.fruitless,
    failures: budget.failures,
    ...run.spec.retry.backoff,
    runUid: run.metadata.uid,
    attempt: entry.number,
  });
  // From now, not from the end: that is the node's time, and a node whose clock is off would stretch or annul the wait.
  const retry = wait === 0 ? budget : due(budget, observed.now + wait);
  const status = { ...draft.status, retry };
  const charged = { ...draft, status: withSuspect(status, observed.run) };
  const end = isUndecided(entry) ? null : endOfRun(run, status);
  return end === null ? charged : fail(observed, charged, end);
}

function due(budget: RetryStatus, at: Instant): RetryStatus {
  return { ...budget, nextAttemptTime: timeOf(at) };
}

/** A person edits a few times; what edits for ever is two programs at odds, which must not make attempts for ever. */
function supersededWait({ spec, metadata }: TrainingRun, status: TrainingRunStatus): number {
  const past = supersededInARow(status) - freeSuperseded;
  if (past <= 0) return 0;
  return backoffMs({
    charge: "Nothing",
    advanced: false,
    fruitless: past,
    failures: 0,
    ...spec.retry.backoff,
    runUid: metadata.uid,
    attempt: status.attempt ?? 0,
  });
}

function withSuspect(status: TrainingRunStatus, { spec }: TrainingRun): TrainingRunStatus {
  const suspect = newSuspect(status, spec.resume);
  return suspect === null ? status : { ...status, suspects: [suspect, ...(status.suspects ?? [])].slice(0, 4) };
}

/** Ends the run as Complete. */
function complete(observed: Observed, draft: Draft, message: string): Draft {
  const unmirrored = finalNotMirrored(observed.run, draft.status);
  return add(draft, observed, {
    state: "Complete",
    statements: [
      ...(unmirrored === null ? [] : [unmirrored]),
      { type: "Complete", status: "True", reason: "TrainingDone", message },
      { type: "Progressing", status: "False", reason: "Complete", message: "The run is complete." },
    ],
    events: [
      { type: "Normal", reason: "Complete", message },
      ...(unmirrored === null
        ? []
        : [{ type: "Warning" as const, reason: unmirrored.reason, message: unmirrored.message }]),
    ],
  });
}

/** Ends the run as Failed. */
export function fail(
  observed: Observed,
  draft: Draft,
  { reason, message }: { reason: string; message: string },
): Draft {
  // No attempt follows that could tell what was lost by what it resumes from.
  const keptStep = reason === "NoVerifiedCheckpoint" ? 0 : (draft.status.latestVerified?.step ?? 0);
  return add(draft, observed, {
    status: bookLostSteps(draft.status, keptStep),
    state: "Failed",
    statements: [
      { type: "Failed", status: "True", reason, message },
      { type: "Progressing", status: "False", reason: "Failed", message },
    ],
    events: [{ type: "Warning", reason: "Failed", message }],
  });
}

function endEvent(attempt: number, { cause, charge: cost, message }: Ending, dueAt: Instant | undefined): RunEvent {
  const calm = cost === "Nothing" || cost === "Disruption";
  const undecided =
    dueAt === undefined ? "" : ` It counts as a failure at ${timeOf(dueAt)}, unless a node of it turns out to be lost.`;
  return {
    type: calm ? "Normal" : "Warning",
    reason: "AttemptEnded",
    message: `Attempt ${attempt} ended: ${cause}.${undecided} ${message}`.trim().slice(0, 1024),
  };
}
