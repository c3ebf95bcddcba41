import type { AgentState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { CheckpointSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { AgentReport } from "../src/core/observed.ts";
import { progress } from "./records.ts";
import { type Fields, runUid, start } from "./run-builder.ts";

/** How a trainer ends. */
export type End = Readonly<{ exitCode: number; reason?: string; message: string }>;

/** A pod of the model. Containers end together, the trainer first. */
export type ModelPod = {
  name: string;
  uid: string;
  attempt: number;
  worker: number;
  node: string;
  labels: Fields;
  /** Its owner reference stands. */
  owned: boolean;
  finalizers: readonly string[];
  deletedAt: number | null;
  /** Its object waits for no kubelet any more. */
  forced: boolean;
  disruption: string | null;
  started: boolean;
  step: number;
  steppedAt: number;
  resumedFrom: CheckpointSummary | null;
  trainerEnd: End | null;
  done: string | null;
  finishedAt: number | null;
};

/** Where every trainer of the model trains to. */
export const targetStep = 100;
/** The grace period of every pod of the model, in seconds. */
export const grace = 30;

/** The pod as the API server gives it; `newest` is the newest checkpoint on its volume. */
export function renderPod(pod: ModelPod, newest: CheckpointSummary | null): Fields {
  const time = (instant: number | null) => (instant === null ? undefined : new Date(instant).toISOString());
  const finished = pod.finishedAt !== null;
  const state = (exit: End) =>
    finished && pod.started
      ? { terminated: { ...exit, startedAt: time(start), finishedAt: time(pod.finishedAt) } }
      : pod.started
        ? { running: { startedAt: time(start) } }
        : {};
  const agentEnd = {
    kind: "served",
    attempt: pod.attempt,
    ...(pod.started ? { resumedFrom: pod.resumedFrom ? resumeOf(pod.resumedFrom) : null, lastStep: pod.step } : {}),
    latestVerified: newest,
    best: null,
    done: pod.done,
    refused: [],
    verificationFailures: 0,
  };
  return {
    metadata: {
      name: pod.name,
      uid: pod.uid,
      resourceVersion: "1",
      creationTimestamp: time(start),
      labels: pod.labels,
      finalizers: pod.finalizers,
      ownerReferences: pod.owned ? [{ uid: runUid, controller: true }] : [],
      ...(pod.deletedAt === null
        ? {}
        : {
            deletionTimestamp: time(pod.deletedAt + (pod.forced ? 0 : grace * 1000)),
            deletionGracePeriodSeconds: pod.forced ? 0 : grace,
          }),
    },
    spec: {
      nodeName: pod.node,
      initContainers: [{ name: "agent" }],
      containers: [{ name: "trainer" }],
      terminationGracePeriodSeconds: grace,
    },
    status: {
      phase: finished ? (pod.trainerEnd?.exitCode === 0 ? "Succeeded" : "Failed") : pod.started ? "Running" : "Pending",
      conditions: pod.disruption ? [{ type: "DisruptionTarget", status: "True", reason: pod.disruption }] : [],
      containerStatuses: [{ name: "trainer", state: state(pod.trainerEnd ?? { exitCode: 0, message: "" }) }],
      initContainerStatuses: [{ name: "agent", state: state({ exitCode: 0, message: JSON.stringify(agentEnd) }) }],
    },
  };
}

/** What its agent answers, with these checkpoints on its volume. */
export function reportOf(
  pod: ModelPod,
  { disk, now }: { disk: readonly CheckpointSummary[]; now: number },
): AgentReport {
  const time = new Date(start).toISOString();
  const latest = disk[0] ?? null;
  const state: AgentState = {
    version: 1,
    runUid,
    podUid: pod.uid,
    attempt: pod.attempt,
    worker: pod.worker,
    node: pod.node,
    phase: "Serving",
    restored: {
      version: 1,
      run: runUid,
      attempt: pod.attempt,
      podUid: pod.uid,
      resume: pod.resumedFrom
        ? { ...resumeOf(pod.resumedFrom), attempt: pod.resumedFrom.attempt, directory: "/d" }
        : null,
      refused: [],
      verifiedBytes: 0,
      seconds: 0,
      time,
    },
    progress: progressOf(pod),
    checkpoints: disk.map((entry) => ({ ...entry, verified: true, kept: [] })),
    latestVerified: latest,
    best: null,
    refused: [],
    done: pod.done,
    verificationFailures: 0,
    problems: [],
    mirror: null,
  };
  return { podUid: pod.uid, receivedAt: now, heardAt: now, state };
}

/** Trainers tell of no step before their first. */
function progressOf(pod: ModelPod): AgentState["progress"] {
  if (pod.step === (pod.resumedFrom?.step ?? 0)) return null;
  const firstStep = { step: pod.step, time: new Date(start).toISOString() };
  return progress({ step: pod.step, targetStep, firstStep, time: new Date(pod.steppedAt).toISOString() });
}

/** How its trainer ends that is asked to stop; `saves`: with a last save. */
export function preempted(pod: ModelPod, saves: boolean): End {
  const message = {
    kind: "preempted",
    attempt: pod.attempt,
    step: pod.step,
    finalCheckpoint: saves ? "Saved" : "NotAttempted",
    checkpoint: null,
    graceUsedSeconds: 1,
  };
  return { exitCode: 143, message: pod.started ? JSON.stringify(message) : "" };
}

function resumeOf({ step, digest }: CheckpointSummary) {
  return { step, digest, tier: "Volume" as const };
}

/** A checkpoint that an attempt saved at a step. */
export function summary(step: number, attempt: number): CheckpointSummary {
  const digest = `sha256:${(step * 1000 + attempt).toString(16).padStart(64, "0")}`;
  return { step, attempt, digest, bytes: 1, time: new Date(start).toISOString(), tiers: ["Volume"], metrics: [] };
}
