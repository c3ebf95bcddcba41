import type { Digest } from "./contract/digest.ts";
import type { Expected } from "./contract/pod-environment.ts";
import { isRefused } from "./log/fold.ts";
import type { CheckpointRef, RunState } from "./log/state.ts";

type Choice = Pick<Expected, "base" | "refused">;

/**
 * What a resume may start from, newest first: the commits since the last `open`, then that open's base, then the
 * base's ancestors; without those refused by the log or by the operator. A base that the user chose stands alone. One
 * that was another run's is in this run's own lineage by now.
 */
export function candidates(state: RunState, expected: Choice): CheckpointRef[] {
  const banned = new Set<Digest>(expected.refused);
  const usable = (ref: CheckpointRef) => !banned.has(ref.digest) && !isRefused(state, ref.digest);
  const base = ownChoice(expected);
  if (base === null) return lineage(state).filter(usable);
  const chosen = chosenIn(state, base);
  return chosen === undefined || !usable(chosen) ? [] : [chosen];
}

/** What the user chose among the run's own checkpoints; null where that is nothing, or another run's. */
export function ownChoice({ base }: Pick<Expected, "base">): Expected["base"] {
  return base?.source === undefined ? base : null;
}

/** Why a base that the user chose is no candidate, in words. */
export function whyNotChosen(state: RunState, expected: Choice): string {
  const { base, refused } = expected;
  const name = base?.digest ?? `step ${base?.step}`;
  const chosen = base === null ? undefined : chosenIn(state, base);
  if (chosen === undefined) return `${name} is not among the ${state.checkpoints.length} checkpoints of the log`;
  const refusal = state.refused.find(({ digest }) => digest === chosen.digest);
  if (refusal !== undefined) return `${name} was refused with ${refusal.reason}: ${refusal.message}`;
  return refused.includes(chosen.digest)
    ? `${name} is among those that the operator refuses`
    : `${name} does not verify`;
}

function chosenIn(state: RunState, { step, digest }: NonNullable<Expected["base"]>): CheckpointRef | undefined {
  return [...lineage(state), ...state.checkpoints.toReversed()].find(
    (ref) =>
      (digest !== undefined || step !== undefined) &&
      (digest === undefined || ref.digest === digest) &&
      (step === undefined || ref.step === step),
  );
}

/** The checkpoints of the present history, newest first; "newer" is a higher step in it, never a later time (I8). */
export function lineage(state: RunState): CheckpointRef[] {
  const links = new Map(state.attempts.map(({ attempt, base }) => [attempt, base]));
  const found: CheckpointRef[] = [];
  let attempt = state.opened?.attempt;
  let newest = Number.POSITIVE_INFINITY;
  // Bases lie in lower attempts, so this ends; the bound holds even for a log that says otherwise.
  for (let hops = 0; attempt !== undefined && hops <= state.attempts.length; hops += 1) {
    const segment = state.checkpoints.filter((ref) => ref.attempt === attempt && ref.step <= newest);
    found.push(...segment.sort((a, b) => b.step - a.step));
    const base = links.get(attempt);
    newest = base?.step ?? 0;
    attempt = base?.attempt;
  }
  return found;
}
