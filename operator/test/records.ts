import type { CheckpointSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";

/** A digest of one letter. */
export const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
/** A verified checkpoint. */
export const checkpoint = (step: number, attempt: number, letter: string): CheckpointSummary => ({
  step,
  attempt,
  digest: digest(letter),
  bytes: 10,
  time: "2026-01-01T00:00:00Z",
  tiers: ["Volume"],
  metrics: [],
});
/** What an agent leaves that served to the end. */
export const served = (over: Partial<Extract<AgentRecord, { kind: "served" }>>): AgentRecord => ({
  kind: "served",
  attempt: 1,
  best: null,
  done: null,
  refused: [],
  verificationFailures: 0,
  latestVerified: null,
  restoreSeconds: 0.1,
  ...over,
});
