import { lineage } from "./candidates.ts";
import type { Digest } from "./contract/digest.ts";
import type { RetentionPolicy } from "./contract/pod-environment.ts";
import { isRefused } from "./log/fold.ts";
import type { CheckpointRef, RunState } from "./log/state.ts";
import { rankByMetric } from "./retention.ts";
import type { CheckpointName, Store } from "./store/store.ts";

/** What the names for people go by in one tier. */
export type Named = Readonly<{ state: RunState; verified: ReadonlySet<Digest>; policy: RetentionPolicy }>;

/** Where the names lead: the newest checkpoint of the lineage that is verified, and the best of them by the policy's metric. */
export function nameTargets({ state, verified, policy }: Named): Record<CheckpointName, CheckpointRef | null> {
  const sound = lineage(state).filter(({ digest }) => verified.has(digest) && !isRefused(state, digest));
  return { latest: sound[0] ?? null, best: rankByMetric(sound, policy)[0] ?? null };
}

/**
 * Moves a tier's names to where they lead now. Asked before retention removes anything, so that a name never leads to a
 * checkpoint that is gone.
 */
export async function pointNames(store: Store, named: Named): Promise<void> {
  const targets = nameTargets(named);
  await store.point("latest", targets.latest);
  await store.point("best", targets.best);
}
