import type { Digest } from "./contract/digest.ts";
import type { CheckpointRef, RunState } from "./log/state.ts";

/** What stays, and why. */
export type Reasons = ReadonlyMap<Digest, readonly string[]>;

/** So much room, of which each checkpoint takes its share. */
export type Space = Readonly<{ room: number; sizeOf: (digest: Digest) => number }>;

/** Of an `open`, which may have 4 MiB: the rest is for what is saved before retention looks again. */
export const maxCarriedBytes = 3 * 1024 * 1024;

/** Below 0 where what is kept takes more. */
export function roomBeside(kept: Reasons, { room, sizeOf }: Space): number {
  let left = room;
  for (const digest of kept.keys()) left -= sizeOf(digest);
  return left;
}

/** As many of `more`, in their order, as every space has room for beside what is kept: none after the first that is too many. */
export function fitting(more: Reasons, kept: Reasons, spaces: readonly Space[]): Reasons {
  const left = spaces.map((space) => ({ space, room: roomBeside(kept, space) }));
  const taken = new Map<Digest, readonly string[]>();
  for (const [digest, reasons] of more) {
    for (const each of left) each.room -= kept.has(digest) ? 0 : each.space.sizeOf(digest);
    if (left.some(({ room }) => room < 0)) break;
    taken.set(digest, reasons);
  }
  return taken;
}

/** The next checkpoint is reckoned as large as the largest that there is. */
export function nextBytes(checkpoints: readonly Pick<CheckpointRef, "bytes">[]): number {
  return Math.max(0, ...checkpoints.map(({ bytes }) => bytes));
}

/** Bytes of checkpoints on a volume. */
export function byteSpace(checkpoints: readonly CheckpointRef[], room: number): Space {
  const sizes = new Map(checkpoints.map(({ digest, bytes }) => [digest, bytes]));
  return { room, sizeOf: (digest) => sizes.get(digest) ?? 0 };
}

/**
 * In the next `open`: one that were larger than a record could not be appended, and the run could never be opened again.
 */
export function logSpace({ attempts, checkpoints, refused }: RunState): Space {
  const sizes = new Map(checkpoints.map((ref) => [ref.digest, carriedBytes(ref)]));
  const room = maxCarriedBytes - carriedBytes(attempts) - carriedBytes(refused);
  return { room, sizeOf: (digest) => sizes.get(digest) ?? 0 };
}

/** Bytes that a value takes in a record, and the comma behind it. */
function carriedBytes(value: object): number {
  return Buffer.byteLength(JSON.stringify(value)) + 1;
}
