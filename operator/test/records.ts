import type { AgentState, MirrorState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { CheckpointSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import type { AgentRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import { runUid } from "./run-builder.ts";

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

/** An object store that has everything. */
export const mirror = (over: Partial<MirrorState> = {}): MirrorState => ({
  latestStep: 10,
  lagSteps: 0,
  lagBytes: 0,
  lagSeconds: 0,
  uploading: null,
  bytesPerSecond: 0,
  problem: null,
  ...over,
});
/** What a trainer reports that has done ten steps. */
export const progress = (over: Partial<Progress> = {}): Progress => ({
  version: 1,
  step: 10,
  targetStep: 100,
  epoch: 0,
  samples: 0,
  metrics: [],
  stepsPerSecond: 1,
  saves: { committed: 0, failed: 0, skipped: 0, lastSeconds: 0, lastBytes: 0, stallSeconds: 0 },
  backend: "wasm",
  time: "2026-01-01T00:00:00Z",
  ...over,
});

/** What the agent of the pod `pod-1` answers while it serves attempt 1. */
export const answer = (over: Partial<AgentState> = {}): AgentState => ({
  version: 1,
  runUid,
  podUid: "pod-1",
  attempt: 1,
  worker: 0,
  node: "node-a",
  phase: "Serving",
  restored: null,
  progress: null,
  checkpoints: [],
  latestVerified: null,
  best: null,
  refused: [],
  done: null,
  verificationFailures: 0,
  problems: [],
  mirror: null,
  ...over,
});
