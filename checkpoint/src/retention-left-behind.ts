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
  /** What the present history is not ahead of, in the order in which it stays: the way back, then the furthest first. */
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
}>;

/**
 * What is left behind, and what of it leads back. Attempts are numbered in the order in which they opened the log: what was
 * saved since a checkpoint was left has a higher number than that checkpoint has.
 */
export function leftBehind(state: RunState, { lineage, verified, passedStep, isVerified }: Present): LeftBehind {
  const present = new Set(lineage);
  const left = state.checkpoints
    .filter((ref) => !present.has(ref) && !isRefused(state, ref.digest))
    .sort((a, b) => b.step - a.step || b.attempt - a.attempt);
  const newest = verified.reduce((highest, { attempt }) => Math.max(highest, attempt), 0);
  const undoing = left.filter(({ attempt }) => attempt >= newest);
  // What an earlier pod has verified is not always known. The furthest is as good a guess as there is.
  const back = undoing.find(({ digest }) => isVerified(digest)) ?? undoing[0];
  const others = left.filter((ref) => ref !== back && ref.step >= passedStep);
  return { wayBack: reasonsOf(back === undefined ? [] : [back]), all: reasonsOf(back ? [back, ...others] : others) };
}

function reasonsOf(refs: readonly CheckpointRef[]): Reasons {
  return new Map(refs.map(({ digest }) => [digest, [leftBehindReason]]));
}
