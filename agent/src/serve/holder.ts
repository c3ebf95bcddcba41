import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { RunState } from "@trainingrun/checkpoint/log/state.ts";

/** Who holds a log: this pod, another one that shuts it out for good, or nobody that can be told. */
export type Holder =
  | Readonly<{ kind: "own" }>
  | Readonly<{ kind: "other"; why: string }>
  | Readonly<{ kind: "unknown" }>;

/** Whether this pod may still append to that log. */
export function holderOf({ opened, fence }: RunState, environment: AgentEnvironment): Holder {
  const { TRAININGRUN_ATTEMPT: attempt, TRAININGRUN_POD_UID: podUid } = environment;
  if (fence !== null && fence.attempt > attempt) {
    return { kind: "other", why: `attempt ${fence.attempt} has opened the log` };
  }
  if (opened?.attempt !== attempt) return { kind: "unknown" };
  if (opened.podUid !== podUid) return { kind: "other", why: `pod ${opened.podUid} has opened attempt ${attempt}` };
  return { kind: "own" };
}
