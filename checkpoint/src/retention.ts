import { lineage } from "./candidates.ts";
import type { Digest } from "./contract/digest.ts";
import type { RetentionPolicy } from "./contract/pod-environment.ts";
import { isRefused } from "./log/fold.ts";
import type { CheckpointRef, RunState } from "./log/state.ts";
import { type LeftBehind, leftBehind } from "./retention-left-behind.ts";
import {
  byteSpace,
  fitting,
  logSpace,
  maxCarriedBytes,
  nextBytes,
  type Reasons,
  roomBeside,
  type Space,
} from "./retention-space.ts";

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
  /** Bytes that the volume lacks for the next save: what was left behind makes room for so many. */
  lacking?: number;
  /** Of what the log names, what does not lie there: it takes no room, and leads back to nothing. */
  absent?: readonly Digest[];
  /** What the operator lets nobody resume from: it leads back to nothing. */
  banned?: readonly Digest[];
}>;

/** What stays and why, what goes and why, and what the byte budget did to the policy. */
export type RetentionPlan = Readonly<{
  keep: readonly Readonly<{ ref: CheckpointRef; reasons: readonly string[] }>[];
  remove: readonly Readonly<{ ref: CheckpointRef; why: string }>[];
  keptBytes: number;
  /**
   * Set when the budget made the policy shrink: to its floor, which is two verified (two healthy ones too), base and best, or
   * by as much as the way back from a rollback takes.
   */
  shrunk: string | null;
  /** Set when even the floor leaves no room for another checkpoint: saving pauses, nothing more is deleted. */
  pauseSaving: Pause | null;
}>;

/** What has no room for another checkpoint: the byte budget, or what an `open` of the log can carry; and sizes in words. */
export type Pause = Readonly<{ limit: "Budget" | "Log"; overview: string }>;

const defaultEvidenceSeconds = 24 * 60 * 60;

/**
 * Which checkpoints may go (I6). The present history is the lineage of the last open; proven is what was verified of it,
 * and mirrored where a mirror counts. Each of these stays while it has room beside those above it, and the next checkpoint:
 *
 *     floor        the present history down to its second proven one, two proven without new NaN, the best, the best that is
 *                  verified, the newest on record, base and final one, and fresh evidence of damage
 *     way back     the furthest verified one that was left behind, until one that was saved since is verified
 *     rules        of the present history: the best, the last, the milestones; in the log as many as it has room for
 *     left behind  what the present history is not ahead of, the furthest first: so the nearest goes first
 *
 * The floor never goes; where it leaves no room, saving pauses. While nothing of the present history is verified, the way
 * back belongs to the floor. A byte budget that has no room for all that the rules want keeps nothing for them alone; where
 * only the way back is too much for it, the rules give up as much as that takes. For what the volume lacks only what was
 * left behind goes. All the rest goes at once, room or not.
 */
export function retain(input: RetentionInput): RetentionPlan {
  const { state, policy, lacking = 0, absent = [] } = input;
  const { checkpoints } = state;
  const next = nextBytes(checkpoints);
  const away = new Set(absent);
  const there = checkpoints.filter(({ digest }) => !away.has(digest));
  const total = there.reduce((sum, { bytes }) => sum + bytes, 0);
  const spaces = {
    log: logSpace(state),
    budget: byteSpace(there, (policy.maxBytes ?? Number.POSITIVE_INFINITY) - next),
    volume: byteSpace(there, total - lacking),
  };
  const shares = sharesOf(input);
  const { reasons, isTight } = staying(shares, spaces);
  const keptBytes = there.reduce((sum, { digest, bytes }) => sum + (reasons.has(digest) ? bytes : 0), 0);
  const overview = `${keptBytes} bytes kept, ${next} for the next checkpoint, ${policy.maxBytes} allowed`;
  const unruled = (digest: Digest) => {
    if (shares.rules.has(digest)) return "a rule keeps it, but the log has no room for more";
    if (shares.left.all.has(digest)) return "a rollback left it behind, and there is no room for it";
    if (isRefused(state, digest)) return "it was refused, and its time as evidence is over";
    return "two newer are verified, no rule keeps it";
  };
  return {
    keep: checkpoints.flatMap((ref) => {
      const why = reasons.get(ref.digest);
      return why === undefined ? [] : [{ ref, reasons: why }];
    }),
    remove: checkpoints
      .filter((ref) => !reasons.has(ref.digest))
      .map((ref) => ({ ref, why: isTight ? `the byte budget: ${overview}` : unruled(ref.digest) })),
    keptBytes,
    shrunk: isTight ? overview : null,
    pauseSaving: roomBeside(reasons, spaces.budget) < 0 ? { limit: "Budget", overview } : logPause(reasons, spaces.log),
  };
}

/** What has a claim to stay, whatever the room. */
type Shares = Readonly<{ floor: Reasons; rules: Reasons; left: LeftBehind }>;

function sharesOf(input: RetentionInput): Shares {
  const { state, policy, absent = [], banned = [] } = input;
  const present = lineage(state);
  const history = present.filter((ref) => !isRefused(state, ref.digest));
  const known = new Set([...input.verified, ...input.recorded, ...(state.opened?.base ? [state.opened.base] : [])]);
  const isVerified = (digest: Digest) => known.has(digest);
  const verified = history.filter(({ digest }) => isVerified(digest));
  const sound = soundOf(input, verified);
  const nowhere = new Set([...absent, ...banned]);
  const judged = { isVerified, leadsBack: (digest: Digest) => !nowhere.has(digest) };
  const left = leftBehind(state, { lineage: present, verified, passedStep: passedStep(sound), ...judged });
  const floor = merge(
    untouchable(input, { history, sound }),
    // What is best may turn out to be damaged when it is verified: until then the best that is verified stays as well.
    best(verified, policy, 1),
    best(history, policy, 1),
    verified.length === 0 ? left.wayBack : noReasons,
  );
  const rules = merge(
    best(history, policy, policy.best?.count ?? 0),
    last(history, policy),
    milestones(history, policy),
  );
  return { floor, rules, left };
}

type Spaces = Readonly<{ log: Space; budget: Space; volume: Space }>;

/** What stays of them, and whether the byte budget has no room for all that the rules want. */
function staying({ floor, rules, left }: Shares, { log, budget, volume }: Spaces) {
  const beside = (kept: Reasons) => merge(kept, fitting(rules, kept, [log]));
  // In the budget the rules give way to the way back. Of a full volume they keep their part, and the way back goes.
  const wayBack = fitting(fitting(left.wayBack, beside(floor), [volume]), floor, [log, budget]);
  const held = merge(floor, wayBack);
  const ruled = beside(held);
  const isTight = roomBeside(ruled, budget) < 0;
  const isTightAnyway = isTight && roomBeside(beside(floor), budget) < 0;
  const kept = isTightAnyway ? held : merge(held, fitting(rules, held, [log, budget]));
  return { reasons: merge(kept, fitting(left.all, kept, [log, budget, volume])), isTight };
}

const noReasons: Reasons = new Map();

/** Of what is verified, newest first, what counts as proof where an older one is to go. */
function soundOf({ mirrored }: RetentionInput, verified: readonly CheckpointRef[]): CheckpointRef[] {
  const there = mirrored ? new Set(mirrored) : null;
  return verified.filter(({ digest }) => there === null || there.has(digest));
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
    else if (present.has(ref) && ref.step >= passedStep(sound)) why.push("newer-unproven");
    else if (healthy.includes(ref)) why.push("healthy");
    if (isFreshEvidence(input, ref)) why.push("evidence");
    if (why.length > 0) reasons.set(ref.digest, why);
  }
  return reasons;
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

/** What waits for its proof may outgrow the log, and may not go: then it must not become more. */
function logPause(kept: Reasons, log: Space): Pause | null {
  const over = -roomBeside(kept, log);
  if (over <= 0) return null;
  const overview = `${kept.size} checkpoints, for which the log lacks ${over} of ${maxCarriedBytes} bytes`;
  return { limit: "Log", overview };
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
