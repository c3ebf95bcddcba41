import type { Digest } from "./contract/digest.ts";
import type { Expected } from "./contract/pod-environment.ts";
import { isRefused } from "./log/fold.ts";
import type { CheckpointRef, RunState } from "./log/state.ts";

/**
 * What a resume may start from, newest first: the commits since the last `open`, then that open's base, then the
 * base's ancestors; without those refused by the log or by the operator. A base that the user chose stands alone.
 */
export function candidates(state: RunState, expected: Pick<Expected, "base" | "refused">): CheckpointRef[] {
  const banned = new Set<Digest>(expected.refused);
  const usable = (ref: CheckpointRef) => !banned.has(ref.digest) && !isRefused(state, ref.digest);
  const { base } = expected;
  if (base === null) return lineage(state).filter(usable);
  const { step, digest } = base;
  const chosen = [...lineage(state), ...state.checkpoints.toReversed()].find(
    (ref) =>
      (digest !== undefined || step !== undefined) &&
      (digest === undefined || ref.digest === digest) &&
      (step === undefined || ref.step === step),
  );
  return chosen === undefined || !usable(chosen) ? [] : [chosen];
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
