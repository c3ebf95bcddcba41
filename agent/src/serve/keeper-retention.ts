import { lineage } from "@trainingrun/checkpoint/candidates.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { type Pruned, prune } from "@trainingrun/checkpoint/prune.ts";
import { leftBehindReason } from "@trainingrun/checkpoint/retention.ts";
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
 * Retention of the volume. With an object store, what that lacks counts for nothing. Where the byte budget, the log or the
 * room on the volume would stop the saving, what a rollback left behind goes first, and then what only waits for the
 * object store: a volume with two verified checkpoints and room for the next is worth more.
 */
export async function pruneVolume(request: Request): Promise<Pruned & Pick<Request, "beforeMirror">> {
  const { store, environment, verified, mirrored, signal } = request;
  const known = { ...knownOf(environment), verified: [...verified], signal };
  const counting = { mirrored: mirrored && [...mirrored] };
  const careful = await prune(store, { ...known, ...counting });
  if (careful.removed.length > 0) return { ...careful, beforeMirror: request.beforeMirror };
  // Said until the mirror has caught up, not only while something is being removed.
  const newest = lineage(careful.state).find(({ digest }) => verified.has(digest));
  const isBehind = mirrored !== null && newest !== undefined && !mirrored.has(newest.digest);
  const beforeMirror = isBehind ? request.beforeMirror : null;
  const hasLeft = careful.plan.keep.some(({ reasons }) => reasons.includes(leftBehindReason));
  if (mirrored === null && !hasLeft) return { ...careful, beforeMirror };
  const need = await needOfRoom(careful, environment, mirrored);
  if (need === null) return { ...careful, beforeMirror };
  if (hasLeft) return { ...(await prune(store, { ...known, ...counting, leftBehind: "LetGo" })), beforeMirror };
  const hasty = await prune(store, known);
  return { ...hasty, beforeMirror: hasty.removed.length > 0 ? need : beforeMirror };
}

/** What would stop the next save while all stays that may go for its sake; null for nothing. */
async function needOfRoom(
  { plan, state }: Pruned,
  environment: AgentEnvironment,
  mirrored: Request["mirrored"],
): Promise<Problem | null> {
  if (plan.pauseSaving !== null) {
    const { limit, overview } = plan.pauseSaving;
    return limit === "Budget"
      ? { reason: "BudgetBeforeMirror", message: `the byte budget: ${overview}` }
      : { reason: "LogBeforeMirror", message: `the room in the log: ${overview}` };
  }
  const available = await availableBytes(environment);
  const volume = { ...knownOf(environment), state, mirrored: mirrored && [...mirrored], available, horizon: 1 };
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
