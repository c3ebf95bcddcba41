import { type Candidacy, type Instant, isOwn, nextRenewTime } from "./candidacy.ts";
import { isReleased, type LeaseRecord, type LeaseSpec, nextTransitions, releasedSeconds } from "./lease-record.ts";

/** How long a Lease lasts and how patiently it is kept. */
export type LeaseTiming = Readonly<{
  /** A Lease that did not change for this long is free. */
  leaseMs: number;
  /** Its holder stops this long after it *sent* the last renewal that is known to stand. */
  renewDeadlineMs: number;
  /** Between two renewals; a request may take twice as long. */
  retryMs: number;
  /** How long the work of a term that is asked to end may take over what it has begun. */
  drainMs: number;
  /** How long work may go on after its term is over; longer is a defect. */
  abandonMs: number;
  /** How long a leaving holder tries to give the Lease up. */
  releaseMs: number;
}>;

/** The timing of Kubernetes' own controllers, and bounds for the end of a term. */
export const leaseTiming: LeaseTiming = {
  leaseMs: 15_000,
  renewDeadlineMs: 10_000,
  retryMs: 2_000,
  drainMs: 1_000,
  abandonMs: 10_000,
  releaseMs: 2_000,
};

/**
 * Refuses a timing under which two could lead at once: a holder whose clock is a tenth slow must have stopped before
 * another one, whose clock is a tenth fast, may begin.
 *
 * @throws {RangeError}
 */
export function checkTiming(timing: LeaseTiming): void {
  const { leaseMs, renewDeadlineMs, retryMs } = timing;
  const words = `lease ${leaseMs} ms, renew deadline ${renewDeadlineMs} ms, retry ${retryMs} ms`;
  if (leaseMs > longestLeaseMs)
    throw new RangeError(`Cannot elect a leader because no lease is waited for over ${longestLeaseMs} ms: ${words}`);
  if (renewDeadlineMs * (1 + clockTolerance) > leaseMs * (1 - clockTolerance))
    throw new RangeError(`Cannot elect a leader because the renew deadline is too close to the lease: ${words}`);
  if (retryMs <= 0 || retryMs * 2 > renewDeadlineMs)
    throw new RangeError(`Cannot elect a leader because a renewal could not be repeated before the deadline: ${words}`);
}

/** Who wants what of the Lease. */
export type Candidate = Readonly<{
  /** This process's alone; a restarted one has another. */
  identity: string;
  wants: "Lead" | "Leave";
  /** Waited on top of the lease, so that not all candidates come at once. */
  patienceMs: number;
}>;

/** What a candidate does next. All but the first three write, and only over the version named. */
export type Move =
  | Readonly<{ kind: "Wait"; untilMs: number }>
  | Readonly<{ kind: "Look" }>
  /** Nothing, ever again: the Lease is given up, or never was ours. */
  | Readonly<{ kind: "Done" }>
  | Readonly<{ kind: "Create"; spec: LeaseSpec }>
  | Readonly<{ kind: "Take" | "Renew" | "Release"; spec: LeaseSpec; over: LeaseRecord }>;

/** The next move from what is known now. Every write is a compare-and-swap, so that making it twice does no harm. */
export function nextMove(known: Candidacy, self: Candidate, now: Instant, timing: LeaseTiming): Move {
  return self.wants === "Leave" ? leavingMove(known, self, now) : leadingMove(known, self, now, timing);
}

/** Until when the Lease is ours by our own clock; long ago where it is not. */
export function heldUntilMs({ heldSince }: Candidacy, { renewDeadlineMs }: LeaseTiming): number {
  return heldSince === null ? Number.NEGATIVE_INFINITY : heldSince.monotonicMs + renewDeadlineMs;
}

/**
 * Whether this process holds the Lease, so that it may act. Not while its wall clock has run ahead of its monotonic
 * one: that one stands still while a machine is suspended, and time went on for all others.
 */
export function isHeld(known: Candidacy, now: Instant, timing: LeaseTiming): boolean {
  return now.monotonicMs < heldUntilMs(known, timing) && !isDoubtful(known, now);
}

const clockTolerance = 0.1;
/** A Lease that asks for more was edited by hand, and must not keep everybody waiting for years. */
const longestLeaseMs = 60_000;
/** Less than what the lease outlasts the renew deadline by, more than what clocks drift and are set by in that time. */
const largestJumpMs = 2_000;

function leadingMove(known: Candidacy, self: Candidate, now: Instant, timing: LeaseTiming): Move {
  if (now.monotonicMs < known.notBeforeMs) return { kind: "Wait", untilMs: known.notBeforeMs };
  const { sight } = known;
  if (sight === null || known.isOutdated) return { kind: "Look" };
  const spec = ownSpec(known, self, now, timing);
  const { record } = sight;
  const isStanding = now.monotonicMs < heldUntilMs(known, timing);
  const freeAtMs = sight.changedAtMs + promisedMs(record, timing) + self.patienceMs;
  const due = (move: Move, atMs: number): Move => whenDue(move, atMs, { heardAtMs: sight.heardAtMs, now, timing });
  const started = { ...spec, acquireTime: spec.renewTime };
  if (record === null) {
    const creation = { kind: "Create", spec: { ...started, leaseTransitions: 0 } } as const;
    // There is no version to swap here: one whose machine was suspended may have had a successor already.
    return due(creation, isHeld(known, now, timing) ? now.monotonicMs : freeAtMs);
  }
  const isOurs = isOwn(known, self.identity, record);
  if (isOurs && isStanding && known.heldSince !== null) {
    const renewAtMs = isDoubtful(known, now) ? now.monotonicMs : known.heldSince.monotonicMs + timing.retryMs;
    return due({ kind: "Renew", spec, over: record }, renewAtMs);
  }
  const leaseTransitions = nextTransitions(record.transitions);
  const taking = { kind: "Take", spec: { ...started, leaseTransitions }, over: record } as const;
  // Our own name on a Lease that we do not hold: an earlier term's, or a write of ours that was long on its way.
  const isFree = isOurs || isReleased(record);
  return due(taking, isFree ? now.monotonicMs : freeAtMs);
}

function leavingMove(known: Candidacy, self: Candidate, now: Instant): Move {
  const record = known.sight?.record ?? null;
  const isOurs = record !== null && isOwn(known, self.identity, record);
  // A write that nobody has looked for since may have made it ours.
  const isUnread = known.unsettled.some(({ at }) => at.monotonicMs >= known.readAtMs);
  if (!isOurs && !isUnread) return { kind: "Done" };
  if (now.monotonicMs < known.notBeforeMs) return { kind: "Wait", untilMs: known.notBeforeMs };
  if (!isOurs || known.isOutdated) return { kind: "Look" };
  const renewTime = nextRenewTime(known, now);
  const spec = { holderIdentity: "", leaseDurationSeconds: releasedSeconds, renewTime, acquireTime: renewTime };
  return { kind: "Release", spec, over: record };
}

// Between the watch's events nothing is asked; where they stay away, the Lease is looked at.
function whenDue(
  move: Move,
  dueMs: number,
  at: Readonly<{ heardAtMs: number; now: Instant; timing: LeaseTiming }>,
): Move {
  const lookAtMs = at.heardAtMs + at.timing.retryMs * quietFactor;
  if (at.now.monotonicMs >= dueMs) return move;
  return at.now.monotonicMs >= lookAtMs ? { kind: "Look" } : { kind: "Wait", untilMs: Math.min(dueMs, lookAtMs) };
}

/** A holder renews each `retryMs`; a watch that says nothing for longer than that is not relied on. */
const quietFactor = 1.25;

function ownSpec(known: Candidacy, self: Candidate, now: Instant, timing: LeaseTiming): LeaseSpec {
  return {
    holderIdentity: self.identity,
    leaseDurationSeconds: Math.ceil(timing.leaseMs / 1000),
    renewTime: nextRenewTime(known, now),
  };
}

// A holder of another release may have asked for more than we would: it is waited for as long as it was told.
function promisedMs(record: LeaseRecord | null, timing: LeaseTiming): number {
  return Math.max(timing.leaseMs, Math.min((record?.durationSeconds ?? 0) * 1000, longestLeaseMs));
}

function isDoubtful({ heldSince }: Candidacy, now: Instant): boolean {
  if (heldSince === null) return false;
  return now.wallMs - heldSince.wallMs - (now.monotonicMs - heldSince.monotonicMs) > largestJumpMs;
}
