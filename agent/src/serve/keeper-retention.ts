import { lineage } from "@trainingrun/checkpoint/candidates.ts";
import type { Digest } from "@trainingrun/checkpoint/contract/digest.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { parseSettlingName } from "@trainingrun/checkpoint/directory-name.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
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
  const absent = await absentFrom(store, signal);
  const known = { ...knownOf(environment), verified: [...verified], absent, signal };
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
  const need = await needOfRoom(careful, { ...request, absent });
  if (need === null) return { ...careful, beforeMirror };
  const spared = hasLeft ? await prune(store, { ...known, ...counting, lacking: need.lacking }) : careful;
  if (mirrored === null || spared.removed.length > 0) return { ...spared, beforeMirror };
  const hasty = await prune(store, known);
  return { ...hasty, beforeMirror: hasty.removed.length > 0 ? need.problem : beforeMirror };
}

/** What the next save lacks while all stays that may go for its sake: in words, and in bytes where it lacks them on the volume. */
type Need = Readonly<{ problem: Problem; lacking: number }>;

/** Null where the next save lacks nothing. What is not verified by now may never be: what would go if it were is no room. */
async function needOfRoom(
  { plan, state }: Pruned,
  { environment, verified, mirrored, absent }: Request & Readonly<{ absent: readonly Digest[] }>,
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
  const counting = { verified: [...verified], mirrored: mirrored && [...mirrored], absent };
  const { next, lacking } = foresee({ ...knownOf(environment), ...counting, state, available, horizon: 1 });
  if (lacking === 0) return null;
  const room = `the room on the volume: ${roundedBytes(next)} for the next checkpoint, ${roundedBytes(available)} free`;
  return { problem: { reason: "RoomBeforeMirror", message: room }, lacking };
}

/** Of what the log names, what the volume does not show. The log is read first: what is committed after that is not meant. */
async function absentFrom(store: Store, signal: AbortSignal): Promise<Digest[]> {
  const { state } = await readLog(store, { signal });
  // What is between two names is there.
  const names = new Set((await store.names()).map((name) => parseSettlingName(name) ?? name));
  return state.checkpoints.filter(({ directory }) => !names.has(directory)).map(({ digest }) => digest);
}

function knownOf({
  TRAININGRUN_ATTEMPT: attempt,
  TRAININGRUN_RETENTION: policy,
  TRAININGRUN_EXPECTED: { recorded, refused: banned },
}: AgentEnvironment) {
  const now = new Date().toISOString();
  return { attempt, policy, recorded: recorded.map(({ digest }) => digest), banned, now };
}
