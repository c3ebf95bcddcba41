import { ownChoice, whyNotChosen } from "./candidates.ts";
import type { Expected } from "./contract/pod-environment.ts";
import { parseDirectoryName } from "./directory-name.ts";
import type { RunState } from "./log/state.ts";
import type { Store } from "./store/store.ts";

/** What the log of each tier is called in messages. */
export const logOf = { Volume: "log", ObjectStore: "object store's log" } as const;

type Known = Readonly<{
  /** What the logs say together. */
  state: RunState;
  expected: Expected;
  /** What has failed verification just now, in words; empty where nothing did. */
  failed: string;
}>;

/** Why step 0 would lose something without being asked to (I10), or null where the run may begin there. */
export async function whyNotFromZero(
  views: readonly Readonly<{ store: Store }>[],
  { state, expected, failed }: Known,
): Promise<string | null> {
  if (ownChoice(expected) !== null) {
    return `the chosen base ${whyNotChosen(state, expected)}${failed === "" ? "" : `: ${failed}`}`;
  }
  if (expected.noneVerified === "StartOver") return null;
  const recorded = expected.latestVerified ?? expected.recorded[0];
  if (state.checkpoints.length > 0) {
    return `none of ${state.checkpoints.length} checkpoints in the log can be resumed from: ${failed || "none is a candidate"}`;
  }
  if (recorded !== undefined) return `step ${recorded.step} (${recorded.digest}) is on record and not in this storage`;
  if (state.damaged.length > 0) return `records ${state.damaged.slice(0, 10).join(", ")} of the log are damaged`;
  // An opened log knows all that was ever committed; one that is empty beside checkpoints was lost.
  if (state.opened !== null) return null;
  for (const { store } of views) {
    const found = (await store.names()).find((name) => parseDirectoryName(name) !== null);
    if (found !== undefined) return `${found} exists and the ${logOf[store.tier]} does not know it`;
  }
  return null;
}
