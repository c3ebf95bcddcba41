import { lineage } from "./candidates.ts";
import type { Digest } from "./contract/digest.ts";
import { isRefused } from "./log/fold.ts";
import type { CheckpointRef, RunState } from "./log/state.ts";
import type { Reasons } from "./retention-space.ts";

/** Why a checkpoint outside the present history stays. */
export const leftBehindReason = "left-behind";

/** What no resume takes by itself any more, since an attempt was opened on an older checkpoint, or on another branch. */
export type LeftBehind = Readonly<{
  /** The one that would undo this, while nothing that was saved since is verified; empty otherwise. */
  wayBack: Reasons;
  /**
   * What the present history is not ahead of, in the order in which it stays: the way back, then the furthest first, then what
   * leads nowhere.
   */
  all: Reasons;
}>;

type Present = Readonly<{
  /** All of it, refused ones included. */
  lineage: readonly CheckpointRef[];
  /** Of it, matched byte for byte. */
  verified: readonly CheckpointRef[];
  /** Two proven ones of it are above this step. */
  passedStep: number;
  isVerified: (digest: Digest) => boolean;
  /** Whether it is there, and a resume may take it. */
  leadsBack: (digest: Digest) => boolean;
}>;

/** What is left behind, and what of it leads back. */
export function leftBehind(state: RunState, present: Present): LeftBehind {
  const { verified, passedStep, isVerified, leadsBack } = present;
  const inLineage = new Set(present.lineage);
  const left = state.checkpoints
    .filter((ref) => !inLineage.has(ref) && !isRefused(state, ref.digest))
    .sort((a, b) => b.step - a.step || b.attempt - a.attempt);
  const leading = left.filter(({ digest }) => leadsBack(digest));
  const undoing = leftSince(state, leading, verified);
  // What an earlier pod has verified is not always known. The furthest is as good a guess as there is.
  const back = undoing.find(({ digest }) => isVerified(digest)) ?? undoing[0];
  const ordered = [...leading, ...left.filter(({ digest }) => !leadsBack(digest))];
  const others = ordered.filter((ref) => ref !== back && ref.step >= passedStep);
  return { wayBack: reasonsOf(back === undefined ? [] : [back]), all: reasonsOf(back ? [back, ...others] : others) };
}

/**
 * What was left since the newest verified one of the present history was saved. Attempts are numbered in the order in which
 * they opened the log: what was saved since a checkpoint was left has a higher number than that checkpoint has. The copy of
 * another run's has one as well, and was not saved since: where nothing else is verified, the history that it took the place
 * of was left for it.
 */
function leftSince(state: RunState, left: readonly CheckpointRef[], verified: readonly CheckpointRef[]) {
  const newest = highestAttempt(verified);
  const since = left.filter(({ attempt }) => attempt >= newest);
  const { opened } = state;
  const isForkAlone = verified.length > 0 && verified.every((ref) => isForked(state, ref));
  if (since.length > 0 || opened === null || !isForkAlone) return since;
  const before = new Set(lineage({ ...state, opened: { ...opened, attempt: highestAttempt(left) } }));
  return left.filter((ref) => before.has(ref));
}

/** The copy of another run's checkpoint, with which the lineage of the attempt that made it begins. */
function isForked({ attempts, opened }: RunState, { attempt, digest, chosen }: CheckpointRef): boolean {
  if (attempt === opened?.attempt) return digest === opened.base;
  return chosen === true && attempts.find((link) => link.attempt === attempt)?.base === null;
}

function highestAttempt(refs: readonly CheckpointRef[]): number {
  return refs.reduce((highest, { attempt }) => Math.max(highest, attempt), 0);
}

function reasonsOf(refs: readonly CheckpointRef[]): Reasons {
  return new Map(refs.map(({ digest }) => [digest, [leftBehindReason]]));
}
