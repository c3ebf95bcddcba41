/** Builders of contract values for the agent's tests; each shows only what a test is about. */
import type { CheckpointSummary, RefusedSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import {
  type Expected,
  nothingExpected,
  type RetentionPolicy,
} from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import type { Restored } from "@trainingrun/checkpoint/contract/restored.ts";
import { directoryName } from "@trainingrun/checkpoint/directory-name.ts";
import type { CheckpointRef } from "@trainingrun/checkpoint/log/state.ts";

export const nothingRecorded: Expected = { ...nothingExpected, unhealthy: "Accept" };

export const keepTwo: RetentionPolicy = { last: 2, best: null, everySteps: null, maxBytes: null };

export function digestOf(letter: string): string {
  return `blake3:${letter.repeat(64)}`;
}

export function summaryOf(step: number, over: Partial<CheckpointSummary> = {}): CheckpointSummary {
  const digest = digestOf((step % 16).toString(16));
  return { step, attempt: 1, digest, bytes: 10, time: noon, tiers: ["Volume"], metrics: [], ...over };
}

/** The same as the log knows it. */
export function checkpointOf(step: number, over: Partial<CheckpointRef> = {}): CheckpointRef {
  const { tiers: _tiers, ...summary } = summaryOf(step);
  return { ...summary, directory: directoryName(step, summary.attempt), unhealthy: false, ...over };
}

export function refusedOf(step: number, over: Partial<RefusedSummary> = {}): RefusedSummary {
  const { digest } = summaryOf(step);
  return { step, attempt: 1, digest, reason: "ChunkMismatch", message: "damaged", node: "node-a", time: noon, ...over };
}

/** A restore that handed over the checkpoint of a step. */
export function restoredOf(step: number, over: Partial<Restored> = {}): Restored {
  const { digest, attempt } = summaryOf(step);
  const resume = { step, attempt, digest, tier: "Volume" as const, directory: "/trainingrun/checkpoints/data/any" };
  const who = { version: 1 as const, run: "mnist", attempt: 2, podUid: "pod-2" };
  return { ...who, resume, refused: [], verifiedBytes: 10, seconds: 0.5, time: noon, ...over };
}

export function progressAt(step: number, over: Partial<Progress> = {}): Progress {
  return {
    version: 1,
    step,
    targetStep: 100,
    epoch: 0,
    samples: step * 32,
    metrics: [{ name: "loss", value: "0.5" }],
    stepsPerSecond: 10,
    saves: { committed: 1, failed: 0, skipped: 0, lastSeconds: 0.1, lastBytes: 10, stallSeconds: 0.01 },
    backend: "wasm",
    time: noon,
    ...over,
  };
}

/** The variables of a pod whose directories lie below `root`. */
export function podVariables(root: string, over: Record<string, string> = {}): Record<string, string> {
  return {
    TRAININGRUN_NAME: "mnist",
    TRAININGRUN_NAMESPACE: "ml",
    TRAININGRUN_UID: "run-uid",
    TRAININGRUN_ATTEMPT: "1",
    TRAININGRUN_WORKER: "0",
    TRAININGRUN_WORKERS: "1",
    TRAININGRUN_CHECKPOINTS: `${root}/checkpoints`,
    TRAININGRUN_RESUME: `${root}/resume`,
    TRAININGRUN_CONTROL: `${root}/control`,
    TRAININGRUN_TERMINATION_LOG: `${root}/termination-log`,
    TRAININGRUN_GRACE_SECONDS: "30",
    TRAININGRUN_INTERVAL: '{"steps":100}',
    TRAININGRUN_POD_UID: "pod-1",
    TRAININGRUN_POD_IP: "127.0.0.1",
    TRAININGRUN_NODE: "node-a",
    TRAININGRUN_FRAMEWORK: "sdk",
    TRAININGRUN_GENERATION: "1",
    TRAININGRUN_RETENTION: JSON.stringify(keepTwo),
    TRAININGRUN_EXPECTED: JSON.stringify(nothingRecorded),
    ...over,
  };
}

const noon = "2030-01-01T12:00:00Z";
