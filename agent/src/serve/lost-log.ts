import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import { appendRecordAfter } from "@trainingrun/checkpoint/log/append.ts";
import { find } from "@trainingrun/checkpoint/log/fold.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import type { OpenDraft } from "@trainingrun/checkpoint/log/record.ts";
import type { RunState } from "@trainingrun/checkpoint/log/state.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { importedFor, mergeStates } from "@trainingrun/checkpoint/tiers/merged-state.ts";
import { holderOf } from "./holder.ts";

/** The object store's log does not hold this attempt's `open` any more: nothing can be committed there. */
export class MirrorLogLostError extends Error {
  override readonly name = "MirrorLogLostError";

  constructor(attempt: number, then: string) {
    super(`Cannot mirror because the object store's log lost the open of attempt ${attempt}: ${then}`);
  }
}

type Lost = Readonly<{
  environment: AgentEnvironment;
  volume: Store;
  /** Opened since the loss was seen: what was read before may not stand there any more, under the same numbers. */
  store: Store & Readonly<{ fences?: boolean }>;
  /** The fold of what is left of the object store's log. */
  state: RunState;
  signal: AbortSignal;
}>;

/**
 * Opens the attempt once more in an object store's log that lost its `open`, as a restore would (I1): only while the
 * volume's log, which outlives the pods, says that this pod holds the run, and nothing that is left in the object store
 * says that a higher attempt has come. What the pods of an ephemeral volume know of each other went with the log: one
 * that is cut off would open it as well.
 */
export async function reopenLost({ environment, volume, store, state, signal }: Lost): Promise<RunState> {
  const { TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_POD_UID: podUid } = environment;
  const lost = (because: string) => new MirrorLogLostError(attempt, `the next attempt opens it anew, for ${because}`);
  if (environment.TRAININGRUN_VOLUME === "Ephemeral") throw lost("no other log says who holds the run");
  if (store.fences === false) throw lost("the store does not keep two pods from opening it");
  const announced = (await store.announcedOpens()).find((open) => open.attempt > attempt);
  if (announced !== undefined) throw lost(`attempt ${announced.attempt} has begun to open it`);
  const { state: own } = await readLog(volume, { signal });
  if (own.opened === null || holderOf(own, environment).kind !== "own") {
    throw lost("the volume's log does not say that this pod holds the run");
  }
  const { node, base, generation } = own.opened;
  const imported = importedFor(mergeStates(own, state), base);
  // What that log has of the base may be from before it was named.
  const said = { ...imported, ...choiceOf(own, base) };
  const draft = { kind: "open", attempt, podUid, node, base, generation, ...said } as const;
  const outcome = await appendRecordAfter(store, draft, { after: state.last, signal });
  // What another pod did in between, the next look at the log tells.
  if (outcome.kind !== "appended") throw lost(outcome.kind === "moved" ? "another pod writes to it" : outcome.message);
  return outcome.state;
}

/** What the volume's `open` said of its base; nothing where an older release wrote it. */
function choiceOf(own: RunState, base: string | null): Pick<OpenDraft, "chosen"> {
  const ref = base === null ? undefined : find(own, base);
  if (ref?.chosen === true) return { chosen: true };
  return ref?.accepted === true ? { chosen: false } : {};
}
