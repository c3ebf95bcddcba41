import type { AgentState, MirrorState, StallState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { AgentEnvironment } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import type { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { type Knowledge, latestVerified } from "./knowledge.ts";
import { saveProblem } from "./save-problem.ts";

/** What is read at the moment of the answer. */
type Now = Readonly<{
  progress: Progress | null;
  mirror: MirrorState | null;
  fences?: boolean | undefined;
  stall?: StallState | null;
}>;

/** What `/v1/state` answers: the contract's bounds applied to what is known. */
export function agentState(environment: AgentEnvironment, knowledge: Knowledge, now: Now): AgentState {
  // Of this moment: what a look at the volume has found may be old, where the volume hangs.
  const stuck = saveProblem(now.progress);
  const problems = [...(stuck === null ? [] : [stuck]), ...knowledge.problems];
  return {
    version: 1,
    runUid: environment.TRAININGRUN_UID,
    podUid: environment.TRAININGRUN_POD_UID,
    attempt: environment.TRAININGRUN_ATTEMPT,
    worker: environment.TRAININGRUN_WORKER,
    node: environment.TRAININGRUN_NODE,
    phase: knowledge.phase,
    restored: knowledge.restored,
    progress: now.progress,
    checkpoints: knowledge.shelf
      .slice(0, 16)
      .map(({ summary, verified, kept }) => ({ ...summary, verified, kept: kept.slice(0, 8) })),
    latestVerified: latestVerified(knowledge),
    best: knowledge.best,
    refused: knowledge.refused.slice(0, 16),
    done: knowledge.done,
    verificationFailures: knowledge.verificationFailures,
    problems: problems.slice(0, 8).map((problem) => ({ ...problem, message: problem.message.slice(0, 512) })),
    mirror: now.mirror,
    ...(now.fences === undefined ? {} : { fences: now.fences }),
    ...(now.stall ? { stall: now.stall } : {}),
  };
}

/** What the termination log says of a served attempt: all that the operator needs when it never polled. */
export function servedRecord(
  environment: AgentEnvironment,
  knowledge: Knowledge,
  progress: Progress | null,
): AgentRecord {
  const { restored } = knowledge;
  const from = restored?.resume;
  return {
    kind: "served",
    attempt: environment.TRAININGRUN_ATTEMPT,
    ...(restored && {
      resumedFrom: from ? { step: from.step, digest: from.digest, tier: from.tier } : null,
      restoreSeconds: restored.seconds,
    }),
    ...(progress && { lastStep: progress.step }),
    ...(progress?.firstStep && { firstStepTime: progress.firstStep.time }),
    ...(progress?.resume && { resume: progress.resume }),
    latestVerified: latestVerified(knowledge),
    best: knowledge.best,
    done: knowledge.done,
    refused: knowledge.refused.slice(0, 4),
    verificationFailures: knowledge.verificationFailures,
  };
}
