import { lineage } from "./candidates.ts";
import type { Digest } from "./contract/digest.ts";
import { directoryName } from "./directory-name.ts";
import type { CheckpointRef, RunState } from "./log/state.ts";
import { type RetentionInput, retain } from "./retention.ts";
import { nextBytes } from "./retention-space.ts";

/** What is known of a volume before the next save. */
export type RoomInput = Pick<RetentionInput, "state" | "policy" | "recorded" | "mirrored" | "now" | "absent"> &
  Readonly<{
    /** What is verified, where no other will be; else everything that is there counts as if it were. */
    verified?: readonly Digest[];
    /** Bytes that a process without privileges may still write. */
    available: number;
    /** How many saves ahead to look. */
    horizon: number;
    /** Whether what a rollback left behind goes for them; it stays unless said otherwise. */
    leftBehind?: "Keep" | "LetGo";
  }>;

/** How many more saves the volume has room for, and the sizes that say so; `lacking` is what the first that does not fit lacks. */
export type Room = Readonly<{ saves: number; next: number; available: number; freed: number; lacking: number }>;

/** What a checkpoint of so many bytes takes: with its names, its manifest, its record, and a file system's own accounts. */
export function bytesOnVolume(bytes: number): number {
  return bytes + 64 * 1024 + bytes / 50;
}

/**
 * Plays the next saves through on a volume: each needs its bytes before retention, which waits until it is verified, lets
 * older ones go. So a policy that grows (milestones, or `last` not yet reached) is seen to fill the volume before it does.
 * What is not mirrored yet stays, where `mirrored` says what is; null has everything count as mirrored.
 */
export function foresee({ available, horizon, ...input }: RoomInput): Room {
  const next = nextBytes(input.state.checkpoints);
  let { state, freed } = pruned(input, input.state, []);
  const freedNow = freed;
  const added: Digest[] = [];
  let free = available + freed;
  for (let saves = 0; saves < horizon; saves += 1) {
    const lacking = next > 0 ? bytesOnVolume(next) - free : 0;
    if (lacking > 0) return { saves, next, available, freed: freedNow, lacking };
    const ref = following(state, next, saves);
    added.push(ref.digest);
    ({ state, freed } = pruned(input, { ...state, checkpoints: [...state.checkpoints, ref] }, added));
    free += freed - next;
  }
  return { saves: horizon, next, available, freed: freedNow, lacking: 0 };
}

type Pruned = { state: RunState; freed: number };

/** The state after retention, once everything that can be has been verified. */
function pruned(
  { leftBehind = "Keep", ...input }: Omit<RoomInput, "available" | "horizon">,
  state: RunState,
  added: readonly Digest[],
): Pruned {
  const { policy, recorded, mirrored = null, now, absent = [] } = input;
  const away = new Set(absent);
  const there = state.checkpoints.flatMap(({ digest }) => (away.has(digest) ? [] : [digest]));
  const verified = input.verified === undefined ? there : [...input.verified, ...added];
  const known = mirrored === null ? null : [...mirrored, ...added];
  const lacking = leftBehind === "LetGo" ? Number.POSITIVE_INFINITY : 0;
  const { remove } = retain({ state, policy, recorded, now, verified, mirrored: known, lacking, absent });
  const gone = new Set(remove.map(({ ref }) => ref.digest));
  const checkpoints = state.checkpoints.filter(({ digest }) => !gone.has(digest));
  const freed = remove.reduce((sum, { ref }) => sum + (away.has(ref.digest) ? 0 : ref.bytes), 0);
  return { state: { ...state, checkpoints }, freed };
}

/** The checkpoint that the open attempt saves next, as far from the newest as that is from the one before it. */
function following(state: RunState, bytes: number, index: number): CheckpointRef {
  const [newest, before] = lineage(state);
  const stride = Math.max(1, (newest?.step ?? 1) - (before?.step ?? 0));
  const step = (newest?.step ?? 0) + stride;
  const attempt = state.opened?.attempt ?? 1;
  const digest = `sha256:${String(index).padStart(64, "0")}`;
  const directory = directoryName(step, attempt);
  return { digest, step, attempt, directory, bytes, metrics: [], unhealthy: false, time: state.opened?.time ?? "" };
}
