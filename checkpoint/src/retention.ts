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
}>;

/** What stays and why, what goes and why, and what the byte budget did to the policy. */
export type RetentionPlan = Readonly<{
  keep: readonly Readonly<{ ref: CheckpointRef; reasons: readonly string[] }>[];
  remove: readonly Readonly<{ ref: CheckpointRef; why: string }>[];
  keptBytes: number;
  /** Set when the budget made the policy shrink to its floor: two verified (two healthy ones too), base and best. */
  shrunk: string | null;
  /** Set when even the floor leaves no room for another checkpoint: saving pauses, nothing more is deleted. */
  pauseSaving: string | null;
}>;

const defaultEvidenceSeconds = 24 * 60 * 60;

/** Of an `open`, which may have 4 MiB: the rest is for what is saved before retention looks again. */
const maxCarriedBytes = 3 * 1024 * 1024;

type Reasons = ReadonlyMap<Digest, readonly string[]>;

/**
 * Which checkpoints may go. On every path (I6): nothing goes unless two newer ones in the present history are verified
 * (and mirrored, where there is a mirror), and the base of the last open, the final checkpoint, fresh evidence and the
 * two newest verified ones without new NaN or infinity stay.
 */
export function retain(input: RetentionInput): RetentionPlan {
  const { state, policy } = input;
  const history = lineage(state).filter((ref) => !isRefused(state, ref.digest));
  // What is best may turn out to be damaged when it is verified: until then the best that is verified stays as well.
  const bestVerified = best(verifiedOf(input, history), policy, 1);
  const floor = merge(untouchable(input, history), bestVerified, best(history, policy, 1));
  const wanted = merge(
    best(history, policy, policy.best?.count ?? 0),
    last(history, policy),
    milestones(history, policy),
  );
  const full = merge(floor, carried(state, floor, wanted));
  const next = Math.max(0, ...state.checkpoints.map(({ bytes }) => bytes));
  const budget = policy.maxBytes ?? Number.POSITIVE_INFINITY;
  const isTight = bytesOf(state, full) + next > budget;
  const reasons = isTight ? floor : full;
  const keptBytes = bytesOf(state, reasons);
  const unruled = (digest: Digest) =>
    wanted.has(digest)
      ? "a rule keeps it, but the log has no room for more"
      : "two newer are verified, no rule keeps it";
  const overview = `${keptBytes} bytes kept, ${next} for the next checkpoint, ${policy.maxBytes} allowed`;
  return {
    keep: state.checkpoints.flatMap((ref) => {
      const why = reasons.get(ref.digest);
      return why === undefined ? [] : [{ ref, reasons: why }];
    }),
    remove: state.checkpoints
      .filter((ref) => !reasons.has(ref.digest))
      .map((ref) => ({
        ref,
        why: isTight ? `the byte budget: ${overview}` : unruled(ref.digest),
      })),
    keptBytes,
    shrunk: isTight ? overview : null,
    pauseSaving: keptBytes + next > budget ? overview : null,
  };
}

/** Those that this run's agents, or its restore, have matched. */
function verifiedOf({ state, verified, recorded }: RetentionInput, history: readonly CheckpointRef[]): CheckpointRef[] {
  const known = new Set<Digest>([...verified, ...recorded, ...(state.opened?.base ? [state.opened.base] : [])]);
  return history.filter(({ digest }) => known.has(digest));
}

/** What no policy and no budget may remove. */
function untouchable(input: RetentionInput, history: readonly CheckpointRef[]): Reasons {
  const { state, recorded } = input;
  const mirrored = input.mirrored ? new Set(input.mirrored) : null;
  const sound = verifiedOf(input, history).filter(({ digest }) => mirrored === null || mirrored.has(digest));
  const secondProven = sound[1]?.step ?? Number.NEGATIVE_INFINITY;
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
    else if (ref.step >= secondProven && !isRefused(state, ref.digest)) why.push("newer-unproven");
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

/**
 * As many of those that the rules want as the next `open` can carry beside all that it has to: one that were larger than a
 * record could not be appended, and the run could never be opened again. In their order: the best, the last, milestones.
 */
function carried(state: RunState, others: Reasons, wanted: Reasons): Reasons {
  const refs = new Map(state.checkpoints.map((ref) => [ref.digest, ref]));
  const sizeOf = (digest: Digest) => carriedBytes(refs.get(digest) ?? null);
  let left = maxCarriedBytes - carriedBytes(state.attempts) - carriedBytes(state.refused);
  for (const digest of others.keys()) left -= sizeOf(digest);
  const kept = new Map<Digest, readonly string[]>();
  for (const [digest, reasons] of wanted) {
    left -= others.has(digest) ? 0 : sizeOf(digest);
    if (left < 0) break;
    kept.set(digest, reasons);
  }
  return kept;
}

/** Bytes that a value takes in a record, and the comma behind it. */
function carriedBytes(value: object | null): number {
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

function bytesOf(state: RunState, kept: Reasons): number {
  return state.checkpoints.reduce((sum, ref) => sum + (kept.has(ref.digest) ? ref.bytes : 0), 0);
}
