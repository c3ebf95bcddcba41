import { lineage } from "../candidates.ts";
import type { Digest } from "../contract/digest.ts";
import type { RetentionPolicy } from "../contract/pod-environment.ts";
import { find, isRefused } from "../log/fold.ts";
import type { CheckpointRef, RunState } from "../log/state.ts";
import { retain } from "../retention.ts";

/** What is known when it is decided what to upload next. */
export type MirrorInput = Readonly<{
  /** The attempt that uploads; only its own checkpoints get a record in the object store's log, and its base. */
  attempt: number;
  volume: RunState;
  policy: RetentionPolicy;
  /** Matched on the volume by this process or an earlier agent. */
  verified: ReadonlySet<Digest>;
  /** Whole in the object store. */
  mirrored: ReadonlySet<Digest>;
  /** Removed from the object store under a tombstone: it takes none of these again. */
  removed: ReadonlySet<Digest>;
  /** Not to be tried now, because it has just failed. */
  pausing: ReadonlySet<Digest>;
  /** Whether the newest goes first, or the one that has waited longest while newer ones were uploaded. */
  turn: "Newest" | "Waiting";
}>;

/** What to upload, in order, and how far the object store is behind. */
export type MirrorPlan = Readonly<{
  next: readonly CheckpointRef[];
  /** All that the object store should have and has not: {@link next} and what is pausing. */
  missing: readonly CheckpointRef[];
  /** The newest checkpoint that both tiers have, or null. */
  latest: CheckpointRef | null;
  /** What is verified and newer than {@link latest}, whoever uploads it, newest first. */
  ahead: readonly CheckpointRef[];
  /** Steps from {@link latest} (from 0 without one) to the newest verified checkpoint. */
  lagSteps: number;
  lagBytes: number;
}>;

/**
 * The newest verified checkpoint first, for it is what a lost volume would cost; then the base, which stands in for all
 * that came before; then the rest that retention would keep, newest first. What it would remove is not uploaded at all,
 * so that saves that come faster than uploads cost steps of lag and no growing queue. One that fails holds up no other.
 */
export function planMirror(input: MirrorInput): MirrorPlan {
  const { attempt, volume, verified, mirrored, pausing, turn } = input;
  const sound = lineage(volume).filter(({ digest }) => verified.has(digest) && !isRefused(volume, digest));
  const [newest, ...older] = sound.filter((ref) => ref.attempt === attempt);
  const kept = keptByPolicy(input);
  const base = volume.opened?.base ? find(volume, volume.opened.base) : undefined;
  const isMissing = ({ digest }: CheckpointRef) => !mirrored.has(digest) && !input.removed.has(digest);
  const waiting = older.filter(({ digest }) => kept.has(digest));
  const order = turn === "Newest" ? [newest, base, ...waiting] : [base, ...waiting.toReversed(), newest];
  // A base that was copied from another run is the attempt's own as well.
  const missing = [...new Set(order)].filter((ref) => ref !== undefined).filter(isMissing);
  const latest = sound.find(({ digest }) => mirrored.has(digest)) ?? null;
  return {
    next: missing.filter(({ digest }) => !pausing.has(digest)),
    missing,
    latest,
    // By its place in the lineage: an attempt may save the very step again that it resumed at.
    ahead: latest === null ? sound : sound.slice(0, sound.indexOf(latest)),
    lagSteps: Math.max(0, (sound[0]?.step ?? 0) - (latest?.step ?? 0)),
    lagBytes: missing.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}

/** What retention would keep in an object store that had all of this; the byte budget is the volume's. */
function keptByPolicy({ volume, policy, verified }: MirrorInput): Set<Digest> {
  const plan = retain({
    state: volume,
    policy: { ...policy, maxBytes: null },
    verified: [...verified],
    recorded: [],
    // Only the age of refused ones depends on it, which are not uploaded.
    now: "1970-01-01T00:00:00Z",
  });
  return new Set(plan.keep.map(({ ref }) => ref.digest));
}
