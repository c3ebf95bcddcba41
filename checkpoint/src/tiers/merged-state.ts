import type { AttemptLink, Imported, RunState } from "../log/state.ts";

/**
 * What the logs of a volume and an object store say together. The log that the higher attempt has opened tells the
 * lineage; with the same attempt in both, the commits of both count. Where that attempt's `open` is damaged in one of
 * them, the one that still tells it leads. The other log adds what it has of that lineage: checkpoints outside it stay
 * outside, since the links that lead to them are not followed.
 */
export function mergeStates(volume: RunState, objectStore: RunState | null): RunState {
  if (objectStore === null) return volume;
  const [leading, other] = isAhead(objectStore, volume) ? [objectStore, volume] : [volume, objectStore];
  const known = new Set(leading.checkpoints.map(({ digest }) => digest));
  const refused = new Set(leading.refused.map(({ digest }) => digest));
  return {
    ...leading,
    attempts: joined(leading.attempts, other.attempts),
    checkpoints: [...other.checkpoints.filter(({ digest }) => !known.has(digest)), ...leading.checkpoints],
    refused: [...other.refused.filter(({ digest }) => !refused.has(digest)), ...leading.refused],
    damaged: [...leading.damaged, ...other.damaged],
    done: leading.done ?? (openedAttempt(other) === openedAttempt(leading) ? other.done : null),
  };
}

/** What a tier's `open` on that base takes over from the merged history; nothing for a start at step 0. */
export function importedFor(merged: RunState, base: string | null): { imported?: Imported } {
  const checkpoint = merged.checkpoints.find(({ digest }) => digest === base);
  return checkpoint === undefined ? {} : { imported: { checkpoint, attempts: history(merged, checkpoint.attempt) } };
}

/** The links from an attempt down to the run's beginning, oldest first. */
function history({ attempts }: RunState, from: number): AttemptLink[] {
  const links = new Map(attempts.map((link) => [link.attempt, link]));
  const found: AttemptLink[] = [];
  for (let link = links.get(from); link !== undefined && found.length <= attempts.length; ) {
    found.unshift(link);
    link = link.base === null ? undefined : links.get(link.base.attempt);
  }
  return found;
}

/**
 * Both logs shorten the links over checkpoints that they do not have. Of two links of one attempt, the one to the higher
 * step skips less.
 */
function joined(leading: readonly AttemptLink[], other: readonly AttemptLink[]): AttemptLink[] {
  const links = new Map(other.map((link) => [link.attempt, link]));
  for (const link of leading) {
    const known = links.get(link.attempt);
    if ((known?.base?.step ?? -1) <= (link.base?.step ?? -1)) links.set(link.attempt, link);
  }
  return [...links.values()].sort((a, b) => a.attempt - b.attempt);
}

/** A damaged `open` fences whoever is below it, and tells no lineage: at equal fences, the whole one goes before it. */
function isAhead(one: RunState, other: RunState): boolean {
  const [fence, otherFence] = [one.fence?.attempt ?? 0, other.fence?.attempt ?? 0];
  return fence === otherFence ? openedAttempt(one) > openedAttempt(other) : fence > otherFence;
}

/** The highest attempt whose `open` is whole, 0 for none. */
function openedAttempt({ opened }: RunState): number {
  return opened?.attempt ?? 0;
}
