import { lineage } from "./candidates.ts";
import type { Digest } from "./contract/digest.ts";
import type { RetentionPolicy } from "./contract/pod-environment.ts";
import { isRefused } from "./log/fold.ts";
import type { CheckpointRef, RunState } from "./log/state.ts";

/** What retention looks at. */
export type RetentionInput = Readonly<{
  state: RunState;
  policy: RetentionPolicy;
  /** What this run's agents have matched byte for byte. */
  verified: readonly Digest[];
  /** What the operator has on record as verified, newest first. */
  recorded: readonly Digest[];
  /** What the object store holds; null where none is configured. */
  mirrored?: readonly Digest[] | null;
  /** The present, RFC 3339: only for the age of refused checkpoints, never for an order (I8). */
  now: string;
  /** How long a refused checkpoint keeps its bytes. */
  evidenceSeconds?: number;
  /** Whether what a rollback left behind goes: asked for where the volume has no room for the next save. */
  leftBehind?: "Keep" | "LetGo";
}>;

/** What stays and why, what goes and why, and what the byte budget did to the policy. */
export type RetentionPlan = Readonly<{
  keep: readonly Readonly<{ ref: CheckpointRef; reasons: readonly string[] }>[];
  remove: readonly Readonly<{ ref: CheckpointRef; why: string }>[];
  keptBytes: number;
  /** Set when the budget made the policy shrink to its floor: two verified (two healthy ones too), base and best. */
  shrunk: string | null;
  /** Set when even the floor leaves no room for another checkpoint: saving pauses, nothing more is deleted. */
  pauseSaving: Pause | null;
}>;

/** What has no room for another checkpoint: the byte budget, or what an `open` of the log can carry; and sizes in words. */
export type Pause = Readonly<{ limit: "Budget" | "Log"; overview: string }>;

/** Why a checkpoint outside the lineage stays. */
export const leftBehindReason = "left-behind";

const defaultEvidenceSeconds = 24 * 60 * 60;

/** Of an `open`, which may have 4 MiB: the rest is for what is saved before retention looks again. */
const maxCarriedBytes = 3 * 1024 * 1024;

type Reasons = ReadonlyMap<Digest, readonly string[]>;

const noReasons: Reasons = new Map();

/**
 * Which checkpoints may go. On every path (I6): nothing of the present history goes unless two newer ones in it are
 * verified (and mirrored, where there is a mirror), and the base of the last open, the final checkpoint, fresh evidence
 * and the two newest verified ones without new NaN or infinity stay. Where no proof comes, they become more: then byte
 * budget and log end the saving, and nothing that was saved. What a rollback left behind, which no resume takes by
 * itself, stays until the present history is ahead of it, or, once two of that are proven, while there is room.
 */
export function retain(input: RetentionInput): RetentionPlan {
  const { state, policy } = input;
  const history = lineage(state).filter((ref) => !isRefused(state, ref.digest));
  const sound = soundOf(input, history);
  // What is best may turn out to be damaged when it is verified: until then the best that is verified stays as well.
  const bestVerified = best(verifiedOf(input, history), policy, 1);
  const floor = merge(untouchable(input, { history, sound }), bestVerified, best(history, policy, 1));
  const wanted = merge(
    best(history, policy, policy.best?.count ?? 0),
    last(history, policy),
    milestones(history, policy),
  );
  const log = logSpace(state);
  const ruled = merge(floor, fitting(wanted, floor, log));
  const next = Math.max(0, ...state.checkpoints.map(({ bytes }) => bytes));
  const budget = byteSpace(state, (policy.maxBytes ?? Number.POSITIVE_INFINITY) - next);
  const isTight = roomBeside(ruled, budget) < 0;
  const left = leftBehind(state, sound);
  const staying = input.leftBehind === "LetGo" ? noReasons : left;
  const reasons = isTight ? floor : merge(ruled, fitting(fitting(staying, ruled, log), ruled, budget));
  const keptBytes = state.checkpoints.reduce((sum, { digest, bytes }) => sum + (reasons.has(digest) ? bytes : 0), 0);
  const overview = `${keptBytes} bytes kept, ${next} for the next checkpoint, ${policy.maxBytes} allowed`;
  const unruled = (digest: Digest) => {
    if (wanted.has(digest)) return "a rule keeps it, but the log has no room for more";
    if (left.has(digest)) return "a rollback left it behind, and there is no room for it";
    if (isRefused(state, digest)) return "it was refused, and its time as evidence is over";
    return "two newer are verified, no rule keeps it";
  };
  return {
    keep: state.checkpoints.flatMap((ref) => {
      const why = reasons.get(ref.digest);
      return why === undefined ? [] : [{ ref, reasons: why }];
    }),
    remove: state.checkpoints
      .filter((ref) => !reasons.has(ref.digest))
      .map((ref) => ({ ref, why: isTight ? `the byte budget: ${overview}` : unruled(ref.digest) })),
    keptBytes,
    shrunk: isTight ? overview : null,
    pauseSaving: roomBeside(reasons, budget) < 0 ? { limit: "Budget", overview } : logPause(reasons, log),
  };
}

/** Those that this run's agents, or its restore, have matched. */
function verifiedOf({ state, verified, recorded }: RetentionInput, history: readonly CheckpointRef[]): CheckpointRef[] {
  const known = new Set<Digest>([...verified, ...recorded, ...(state.opened?.base ? [state.opened.base] : [])]);
  return history.filter(({ digest }) => known.has(digest));
}

/** Those of them, newest first, that count as proof where an older one is to go. */
function soundOf(input: RetentionInput, history: readonly CheckpointRef[]): CheckpointRef[] {
  const mirrored = input.mirrored ? new Set(input.mirrored) : null;
  return verifiedOf(input, history).filter(({ digest }) => mirrored === null || mirrored.has(digest));
}

/** Two proven ones are newer than what lies below this step. */
function passedStep(sound: readonly CheckpointRef[]): number {
  return sound[1]?.step ?? Number.NEGATIVE_INFINITY;
}

type Present = Readonly<{ history: readonly CheckpointRef[]; sound: readonly CheckpointRef[] }>;

/** What no policy and no budget may remove. */
function untouchable(input: RetentionInput, { history, sound }: Present): Reasons {
  const { state, recorded } = input;
  const present = new Set(history);
  // A run whose weights have become NaN goes on saving; a resume that skips those needs the last ones before them.
  const healthy = sound.filter(({ unhealthy }) => !unhealthy).slice(0, 2);
  const onRecord = recorded.find((digest) => history.some((ref) => ref.digest === digest));
  const reasons = new Map<Digest, string[]>();
  for (const ref of state.checkpoints) {
    const why: string[] = [];
    if (ref.digest === state.opened?.base) why.push("base");
    if (ref.digest === state.done?.manifest) why.push("done");
    if (ref.digest === onRecord) why.push("recorded");
    if (ref === sound[0] || ref === sound[1]) why.push("verified");
    // One that was refused will never be proven: its day as evidence is all that holds it.
    else if (ref.step >= passedStep(sound) && (present.has(ref) || sound.length < 2)) why.push("newer-unproven");
    else if (healthy.includes(ref)) why.push("healthy");
    if (isFreshEvidence(input, ref)) why.push("evidence");
    if (why.length > 0) reasons.set(ref.digest, why);
  }
  return reasons;
}

/** What a history with two proven ones has turned away from and is not ahead of yet, the furthest first. */
function leftBehind(state: RunState, sound: readonly CheckpointRef[]): Reasons {
  if (sound.length < 2) return noReasons;
  const present = new Set(lineage(state));
  const left = state.checkpoints.filter(
    (ref) => !present.has(ref) && !isRefused(state, ref.digest) && ref.step >= passedStep(sound),
  );
  left.sort((a, b) => b.step - a.step || b.attempt - a.attempt);
  return new Map(left.map(({ digest }) => [digest, [leftBehindReason]]));
}

function isFreshEvidence({ state, now, evidenceSeconds = defaultEvidenceSeconds }: RetentionInput, ref: CheckpointRef) {
  const refusal = state.refused.find(({ digest }) => digest === ref.digest);
  return refusal !== undefined && Date.parse(now) - Date.parse(refusal.time) < evidenceSeconds * 1000;
}

function last(history: readonly CheckpointRef[], policy: RetentionPolicy): Reasons {
  return new Map(history.slice(0, policy.last).map(({ digest }) => [digest, ["last"]]));
}

/** Multiples of the policy's steps, newest first. */
function milestones(history: readonly CheckpointRef[], { everySteps: every }: RetentionPolicy): Reasons {
  const multiples = history.filter(({ step }) => every !== null && step > 0 && step % every === 0);
  return new Map(multiples.map(({ digest }) => [digest, [`every:${every}`]]));
}

/** So much room, of which each checkpoint takes its share. */
type Space = Readonly<{ room: number; sizeOf: (digest: Digest) => number }>;

/** Below 0 where what is kept takes more. */
function roomBeside(kept: Reasons, { room, sizeOf }: Space): number {
  let left = room;
  for (const digest of kept.keys()) left -= sizeOf(digest);
  return left;
}

/** As many of `more`, in their order, as there is room for beside what is kept. */
function fitting(more: Reasons, kept: Reasons, space: Space): Reasons {
  let left = roomBeside(kept, space);
  const taken = new Map<Digest, readonly string[]>();
  for (const [digest, reasons] of more) {
    left -= kept.has(digest) ? 0 : space.sizeOf(digest);
    if (left < 0) break;
    taken.set(digest, reasons);
  }
  return taken;
}

/** On the volume. */
function byteSpace({ checkpoints }: RunState, room: number): Space {
  const sizes = new Map(checkpoints.map(({ digest, bytes }) => [digest, bytes]));
  return { room, sizeOf: (digest) => sizes.get(digest) ?? 0 };
}

/**
 * In the next `open`: one that were larger than a record could not be appended, and the run could never be opened again.
 */
function logSpace({ attempts, checkpoints, refused }: RunState): Space {
  const sizes = new Map(checkpoints.map((ref) => [ref.digest, carriedBytes(ref)]));
  const room = maxCarriedBytes - carriedBytes(attempts) - carriedBytes(refused);
  return { room, sizeOf: (digest) => sizes.get(digest) ?? 0 };
}

/** What waits for its proof may outgrow the log, and may not go: then it must not become more. */
function logPause(kept: Reasons, log: Space): Pause | null {
  const over = -roomBeside(kept, log);
  if (over <= 0) return null;
  const overview = `${kept.size} checkpoints, for which the log lacks ${over} of ${maxCarriedBytes} bytes`;
  return { limit: "Log", overview };
}

/** Bytes that a value takes in a record, and the comma behind it. */
function carriedBytes(value: object): number {
  return Buffer.byteLength(JSON.stringify(value)) + 1;
}

function best(history: readonly CheckpointRef[], policy: RetentionPolicy, count: number): Reasons {
  const reasons = [`best:${policy.best?.metric}`];
  return new Map(
    rankByMetric(history, policy)
      .slice(0, count)
      .map(({ digest }) => [digest, reasons]),
  );
}

/** The checkpoints that have the policy's metric, best first; of equals the newer one. None where no metric ranks them. */
export function rankByMetric(refs: readonly CheckpointRef[], { best }: RetentionPolicy): CheckpointRef[] {
  if (best === null) return [];
  const { metric, mode } = best;
  const sign = mode === "Min" ? 1 : -1;
  return refs
    .map((ref) => ({ ref, value: Number(ref.metrics.find(({ name }) => name === metric)?.value ?? Number.NaN) }))
    .filter(({ value }) => !Number.isNaN(value))
    .sort((a, b) => (a.value === b.value ? b.ref.step - a.ref.step : sign * (a.value < b.value ? -1 : 1)))
    .map(({ ref }) => ref);
}

function merge(...maps: readonly Reasons[]): Reasons {
  const merged = new Map<Digest, string[]>();
  for (const map of maps) {
    for (const [digest, reasons] of map) merged.set(digest, [...new Set([...(merged.get(digest) ?? []), ...reasons])]);
  }
  return merged;
}
