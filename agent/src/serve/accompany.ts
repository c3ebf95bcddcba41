import { join } from "node:path";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { readLog } from "@trainingrun/checkpoint/log/read.ts";
import { emptyState, type RunState } from "@trainingrun/checkpoint/log/state.ts";
import type { Store } from "@trainingrun/checkpoint/store/store.ts";
import { deadlineAfter } from "../deadline.ts";
import type { TerminationLog } from "../termination-log.ts";
import { knowledgeFrom } from "./knowledge.ts";
import { Operations } from "./operations.ts";
import { Pace } from "./pace.ts";
import { servedRecord } from "./report.ts";
import type { Reporter } from "./reporter.ts";
import { matchedBefore } from "./verified-digests.ts";

type Accompanying = Readonly<{
  stop: AbortSignal;
  lookMs: number;
  log: TerminationLog;
  reporter: Reporter;
  restored: Restored;
  store: Store;
}>;

/**
 * What the agent of a gang's worker does that is not the first: it tells how its trainer fares, and ends when a newer
 * attempt has opened the log, or when worker 0 has begun this one anew from another checkpoint. Everything that is
 * appended, verified, mirrored or removed is worker 0's.
 */
export async function accompany(environment: AgentEnvironment, serving: Accompanying): Promise<"served" | "fenced"> {
  const { stop, lookMs, log, reporter, restored, store } = serving;
  const metrics = await reporter.counters();
  const operations = new Operations((operation) => metrics.countError(operation));
  const { signal: end } = deadlineAfter(stop, environment);
  const watched = { directory: join(environment.TRAININGRUN_CHECKPOINTS, "log"), wakesFor: () => true };
  using pace = new Pace([watched], { pollMs: lookMs });
  let state: RunState = emptyState;
  for (;;) {
    const last = stop.aborted;
    const read = await operations.attempt("read-log", "log", () => readLog(store, { signal: end }));
    state = read?.state ?? state;
    const over = whyOver(state, { environment, restored });
    reporter.knowledge = knowledgeFrom({
      attempt: environment.TRAININGRUN_ATTEMPT,
      policy: environment.TRAININGRUN_RETENTION,
      durability: environment.TRAININGRUN_VOLUME,
      fenced: over !== null,
      state,
      verified: new Set(matchedBefore(environment, restored)),
      restored,
      problems: operations.problems,
      ...{ suspected: [], plan: null, beforeMirror: null, mirror: null },
    });
    log.write(servedRecord(environment, reporter.knowledge, await reporter.progress.read()));
    if (last) return "served";
    if (over !== null) {
      console.error(`This worker is over, and nothing that it still does counts: ${over}`);
      return "fenced";
    }
    await pace.next(stop);
  }
}

/** Why nothing that this worker does counts any more, or null while it does. */
function whyOver(
  { opened, fence }: RunState,
  { environment, restored }: Readonly<{ environment: AgentEnvironment; restored: Restored }>,
): string | null {
  const { TRAININGRUN_ATTEMPT: attempt } = environment;
  if (fence !== null && fence.attempt > attempt) return `attempt ${fence.attempt} has opened the log`;
  const base = restored.resume?.digest ?? null;
  if (opened?.attempt !== attempt || opened.base === base) return null;
  return `worker 0 has opened attempt ${attempt} anew from ${opened.base ?? "the beginning"}, and this worker began from ${base ?? "there"}`;
}
