import { candidates, ownChoice } from "./candidates.ts";
import type { Expected } from "./contract/pod-environment.ts";
import { verifyInSight } from "./into-sight.ts";
import { find } from "./log/fold.ts";
import type { CheckpointRef, Imported, Opened, RunState } from "./log/state.ts";
import type { VerifiedCopies } from "./tiers/verified-copies.ts";
import type { RefusalReason, Verdict } from "./verify.ts";

/** A candidate that did not verify in this process. */
export type Failure = Readonly<{ ref: CheckpointRef; reason: RefusalReason; message: string }>;

/** What an attempt is to start from, and what was passed over on the way there. */
export type Choice = Readonly<{
  chosen: CheckpointRef | null;
  failures: readonly Failure[];
  nodeSuspect: boolean;
  /** What no log here knows yet: the copy of another run's checkpoint. */
  imported?: Imported;
}>;

type Choosing = Readonly<{
  expected: Expected;
  /** What the volume's own log says: what that names, the volume may only not show yet. */
  volume: RunState;
  copies: VerifiedCopies;
  /** How many complete directories without a record did not verify on this node. */
  unadopted: number;
  /** By `performance.now()`: what the volume does not show by then is missing. */
  visibleBy: number;
  warn: (message: string) => void;
  signal?: AbortSignal;
}>;

/** The newest candidate of which every byte matches here; of the others, what was wrong with them. */
export async function chooseBase(state: RunState, choosing: Choosing): Promise<Choice> {
  const { expected, copies, unadopted, warn } = choosing;
  const failures: Failure[] = [];
  for (const ref of allowed(state, expected, warn)) {
    const verdict = await verdictOn(ref, choosing);
    if (verdict.ok) return { chosen: ref, failures, nodeSuspect: false };
    const failure = { ref, reason: verdict.reason, message: verdict.message };
    failures.push(failure);
    // Another tier has it whole: what this node writes, or reads back, is spoiled.
    if (copies.wasNotKept(ref)) return { chosen: null, failures, nodeSuspect: true };
    // What is not there at all is missing from every node; anything else a bad node may only seem to see.
    const suspicious = isRefusable(failure) ? failures.filter(isRefusable).length + unadopted : 0;
    if (suspicious >= 2) return { chosen: null, failures, nodeSuspect: true };
    if (suspicious === 0) warn(`Passed over step ${ref.step}, which is not refused for that: ${failure.message}`);
  }
  return { chosen: null, failures, nodeSuspect: false };
}

/** The newest candidate beside those that failed here, as the logs are by now. */
export function newestBeside(
  failures: readonly Failure[],
  state: RunState,
  { expected, warn }: Pick<Choosing, "expected" | "warn">,
): CheckpointRef | undefined {
  const failed = new Set(failures.map(({ ref }) => ref.digest));
  return allowed(state, expected, warn).find(({ digest }) => !failed.has(digest));
}

/** Whether a log may say for good that it is no candidate. What is not there endangers nobody, and may come back. */
export function isRefusable({ reason }: Failure): boolean {
  return reason !== "Missing";
}

/** Whether an `open` on it is to say that the user has named it: what `Skip` lets pass although it is unhealthy, somebody has. */
export function isNamed({ chosen, unhealthy }: CheckpointRef, expected: Pick<Expected, "base" | "unhealthy">): boolean {
  return ownChoice(expected) !== null || chosen === true || (unhealthy && expected.unhealthy === "Skip");
}

/** Whether the open attempt has saved something since; a base that it copied from another run is no such thing. */
export function isBuiltOn({ checkpoints }: RunState, { attempt, base }: Opened): boolean {
  return checkpoints.some((ref) => ref.attempt === attempt && ref.digest !== base);
}

/** Candidates but for those that `resume.unhealthy` skips: of what the user has named that is no question. */
function allowed(state: RunState, expected: Expected, warn: (message: string) => void): CheckpointRef[] {
  const all = candidates(state, expected);
  if (expected.unhealthy === "Accept" || ownChoice(expected) !== null) return all;
  const isSkipped = (ref: CheckpointRef) => ref.unhealthy && ref.chosen !== true && !mayBeNamed(state, ref);
  for (const ref of all.filter(isSkipped)) warn(`Skipped step ${ref.step}: it has new non-finite tensors`);
  return all.filter((ref) => !isSkipped(ref));
}

/**
 * Whether the user may have named it, though the log does not say so. Releases that knew no such mark took a base that was
 * named and one that `Accept` let pass for the same, left no mark on either, and kept to it until something was saved.
 */
function mayBeNamed(state: RunState, { digest, accepted }: CheckpointRef): boolean {
  const { opened } = state;
  return opened?.base === digest && accepted !== true && !isBuiltOn(state, opened);
}

async function verdictOn(ref: CheckpointRef, { copies, volume, visibleBy, signal }: Choosing): Promise<Verdict> {
  const verdict = await copies.verify(ref);
  const isOutOfSight = !verdict.ok && verdict.reason === "Missing" && find(volume, ref.digest) !== undefined;
  if (!isOutOfSight) return verdict;
  const later = await verifyInSight(() => copies.lookAgain(ref), { until: visibleBy, signal });
  return later.ok ? later : copies.verify(ref);
}
