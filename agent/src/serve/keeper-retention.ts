import { lineage } from "@trainingrun/checkpoint/candidates.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { type Pruned, prune } from "@trainingrun/checkpoint/prune.ts";
import { leftBehindReason } from "@trainingrun/checkpoint/retention-left-behind.ts";
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
 * Retention of the volume. With an object store, what that lacks counts for nothing, until byte budget, log or the room on
 * the volume would stop the saving: a volume with two verified checkpoints and room for the next is worth more.
 *
 *     what may go anyway ─► what a rollback left behind, as much as the next save lacks ─► what waits for the object store
 *
 * One call goes one step at most. What the next one lacks is seen anew.
 */
export async function pruneVolume(request: Request): Promise<Pruned & Pick<Request, "beforeMirror">> {
  const { store, environment, verified, mirrored, signal } = request;
  const known = { ...knownOf(environment), verified: [...verified], signal };
  const counting = { mirrored: mirrored && [...mirrored] };
  // In budget and log, this makes what was left behind give way already.
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
  const spared = hasLeft ? await prune(store, { ...known, ...counting, lacking: need.lacking }) : careful;
  if (mirrored === null || spared.removed.length > 0) return { ...spared, beforeMirror };
  const hasty = await prune(store, known);
  return { ...hasty, beforeMirror: hasty.removed.length > 0 ? need.problem : beforeMirror };
}

/** What the next save lacks while all stays that may go for its sake: in words, and in bytes where it lacks them on the volume. */
type Need = Readonly<{ problem: Problem; lacking: number }>;

/** Null where the next save lacks nothing. */
async function needOfRoom(
  { plan, state }: Pruned,
  environment: AgentEnvironment,
  mirrored: Request["mirrored"],
): Promise<Need | null> {
  if (plan.pauseSaving !== null) {
    const { limit, overview } = plan.pauseSaving;
    const problem =
      limit === "Budget"
        ? { reason: "BudgetBeforeMirror", message: `the byte budget: ${overview}` }
        : { reason: "LogBeforeMirror", message: `the room in the log: ${overview}` };
    return { problem, lacking: 0 };
  }
  const available = await availableBytes(environment);
  const volume = { ...knownOf(environment), state, mirrored: mirrored && [...mirrored], available, horizon: 1 };
  const { next, lacking } = foresee(volume);
  if (lacking === 0) return null;
  const room = `the room on the volume: ${roundedBytes(next)} for the next checkpoint, ${roundedBytes(available)} free`;
  return { problem: { reason: "RoomBeforeMirror", message: room }, lacking };
}

function knownOf({
  TRAININGRUN_ATTEMPT: attempt,
  TRAININGRUN_RETENTION: policy,
  TRAININGRUN_EXPECTED: { recorded },
}: AgentEnvironment) {
  return { attempt, policy, recorded: recorded.map(({ digest }) => digest), now: new Date().toISOString() };
}
