import { lineage } from "../candidates.ts";
import type { Digest } from "../contract/digest.ts";
import { find, isRefused } from "../log/fold.ts";
import type { CheckpointRef, RunState } from "../log/state.ts";

/** What is known when it is decided what to upload next. */
export type MirrorInput = Readonly<{
  /** The attempt that uploads; only its own checkpoints get a record in the object store's log, and its base. */
  attempt: number;
  volume: RunState;
  /** Matched on the volume by this process or an earlier agent. */
  verified: ReadonlySet<Digest>;
  /** Whole in the object store. */
  mirrored: ReadonlySet<Digest>;
  /** Not to be tried now, because it has just failed. */
  pausing: ReadonlySet<Digest>;
}>;

/** What to upload, in order, and how far the object store is behind. */
export type MirrorPlan = Readonly<{
  next: readonly CheckpointRef[];
  /** The newest checkpoint that both tiers have, or null. */
  latest: CheckpointRef | null;
  /** Steps from {@link latest} (from 0 without one) to the newest verified checkpoint. */
  lagSteps: number;
  lagBytes: number;
}>;

/**
 * The newest verified checkpoint first, for it is what a lost volume would cost; then the base, which stands in for all
 * that came before; then the rest, newest first. One that fails does not hold up the others.
 */
export function planMirror({ attempt, volume, verified, mirrored, pausing }: MirrorInput): MirrorPlan {
  const sound = lineage(volume).filter(({ digest }) => verified.has(digest) && !isRefused(volume, digest));
  const base = volume.opened?.base ?? null;
  const own = sound.filter((ref) => ref.attempt === attempt);
  const baseRef = base === null ? undefined : find(volume, base);
  const [newest, ...older] = own;
  const wanted = [newest, baseRef, ...older].filter((ref) => ref !== undefined);
  const missing = wanted.filter(({ digest }) => !mirrored.has(digest));
  const latest = sound.find(({ digest }) => mirrored.has(digest)) ?? null;
  const behind = sound.filter(({ step, digest }) => step > (latest?.step ?? -1) && !mirrored.has(digest));
  return {
    next: missing.filter(({ digest }) => !pausing.has(digest)),
    latest,
    lagSteps: (sound[0]?.step ?? 0) - (latest?.step ?? 0),
    lagBytes: behind.reduce((sum, { bytes }) => sum + bytes, 0),
  };
}
