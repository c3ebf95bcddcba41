import { lineage } from "@trainingrun/checkpoint/candidates.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { type Pruned, prune } from "@trainingrun/checkpoint/prune.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { foresee } from "@trainingrun/checkpoint/volume-room.ts";
import type { Problem } from "./knowledge.ts";
import { availableBytes, roundedBytes } from "./volume-care-space.ts";

type Request = Readonly<{
  store: Store;
  environment: AgentEnvironment;
  verified: ReadonlySet<Digest>;
  /** What the object store has; null for a run without one. */
  mirrored: ReadonlySet<Digest> | null;
  /** What made retention go before the mirror until now. */
  beforeMirror: Problem | null;
  signal: AbortSignal;
}>;

/**
 * Retention of the volume. With an object store, what that lacks counts for nothing; unless the byte budget, or the room
 * on the volume, would stop the saving, for then a volume with two verified checkpoints and room for the next is worth
 * more.
 */
export async function pruneVolume(request: Request): Promise<Pruned & Pick<Request, "beforeMirror">> {
  const { store, environment, verified, mirrored, signal } = request;
  const known = { ...knownOf(environment), verified: [...verified], signal };
  if (mirrored === null) return { ...(await prune(store, known)), beforeMirror: null };
  const careful = await prune(store, { ...known, mirrored: [...mirrored] });
  if (careful.removed.length > 0) return { ...careful, beforeMirror: request.beforeMirror };
  // Said until the mirror has caught up, not only while something is being removed.
  const newest = lineage(careful.state).find(({ digest }) => verified.has(digest));
  const beforeMirror = newest === undefined || mirrored.has(newest.digest) ? null : request.beforeMirror;
  const need = await needOfRoom(careful, environment, mirrored);
  if (need === null) return { ...careful, beforeMirror };
  const hasty = await prune(store, known);
  return { ...hasty, beforeMirror: hasty.removed.length > 0 ? need : beforeMirror };
}

/** What would stop the next save while all stays that the mirror has not done its part for; null for nothing. */
async function needOfRoom(
  { plan, state }: Pruned,
  environment: AgentEnvironment,
  mirrored: ReadonlySet<Digest>,
): Promise<Problem | null> {
  if (plan.pauseSaving !== null) {
    return { reason: "BudgetBeforeMirror", message: `the byte budget: ${plan.pauseSaving}` };
  }
  const available = await availableBytes(environment);
  const volume = { ...knownOf(environment), state, mirrored: [...mirrored], available, horizon: 1 };
  const { saves, next } = foresee(volume);
  if (saves > 0) return null;
  const room = `the room on the volume: ${roundedBytes(next)} for the next checkpoint, ${roundedBytes(available)} free`;
  return { reason: "RoomBeforeMirror", message: room };
}

function knownOf({
  TRAININGRUN_ATTEMPT: attempt,
  TRAININGRUN_RETENTION: policy,
  TRAININGRUN_EXPECTED: { recorded },
}: AgentEnvironment) {
  return { attempt, policy, recorded: recorded.map(({ digest }) => digest), now: new Date().toISOString() };
}
