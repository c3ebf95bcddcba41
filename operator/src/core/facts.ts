import type { AgentState, MirrorState } from "@trainingrun/checkpoint/contract/agent-state.ts";
import type { CheckpointSummary, RefusedSummary } from "@trainingrun/checkpoint/contract/checkpoint-summary.ts";
import type { VolumeDurability } from "@trainingrun/checkpoint/contract/pod-environment.ts";
import type { Progress } from "@trainingrun/checkpoint/contract/progress.ts";
import type { ResumeReport } from "@trainingrun/checkpoint/contract/resume.ts";
import type { AgentRecord, FinalCheckpoint, TrainerRecord } from "@trainingrun/checkpoint/contract/termination.ts";
import type { AttemptEntry, CatalogueEntry } from "../api/status.ts";
import { instantOrNull } from "./instant.ts";
import type { AgentReport, Instant, ObservedPod } from "./observed.ts";

/**
 * What an attempt is known to have done, from its worker 0: by the records in the termination messages, which
 * survive an operator that was away, and by the agent's last answer, which is fresher while the pod lives.
 */
export type AttemptFacts = Readonly<{
  /** The restore handed over; `resumedFrom` is null on a fresh start. */
  opened: boolean;
  resumedFrom: NonNullable<AttemptEntry["resumedFrom"]> | null;
  restoreSeconds: number | null;
  agentStartedAt: Instant | null;
  firstStepAt: Instant | null;
  lastStep: number | null;
  trainerEndedAt: Instant | null;
  finalCheckpoint: FinalCheckpoint | null;
  graceUsedSeconds: number | null;
  /** The grace period of the pod. */
  graceSeconds: number;
  progress: Progress | null;
  /** When the agent's last answer came. */
  heardAt: Instant | null;
  /** How the trainer took its checkpoint up; null where nothing is known of it. */
  resume: ResumeReport | null;
  latestVerified: CheckpointSummary | null;
  best: CheckpointSummary | null;
  /** All verified checkpoints that the agent tells of, newest first; empty as well while it cannot know. */
  catalogue: readonly CatalogueEntry[];
  /** The restore found nothing that verifies. */
  noneVerified: boolean;
  refused: readonly RefusedSummary[];
  /** Present problems of the storage; null when the agent has not answered. */
  problems: AgentState["problems"] | null;
  /** What the trainer's process was doing when it had done no step for long; null where nothing is said of that now. */
  dump: string | null;
  /** How far the object store is; null without one, and when the agent has not answered. */
  mirror: MirrorState | null;
  /** Whether the object store refuses to create a key twice; null where nobody has told. */
  fences: boolean | null;
}>;

/** Gathers the facts about one pod of the given attempt. On an ephemeral volume only what is mirrored is saved. */
export function factsOf(
  pod: ObservedPod,
  report: AgentReport | undefined,
  volume: VolumeDurability = "Durable",
): AttemptFacts {
  const state = report?.podUid === pod.uid && report.state.attempt === pod.attempt ? report.state : null;
  const agent = recordOf(pod.agent.record ?? pod.restore?.record, pod.attempt);
  const trainer = recordOf(pod.trainer.record, pod.attempt);
  const served = servedOf(agent) ?? servedOf(recordOf(pod.agent.earlierRecord, pod.attempt));
  return {
    opened: served?.resumedFrom !== undefined || Boolean(state?.restored),
    resumedFrom: served?.resumedFrom ?? resumeOf(state),
    restoreSeconds: served?.restoreSeconds ?? state?.restored?.seconds ?? null,
    agentStartedAt: pod.restore?.startedAt ?? pod.agent.startedAt,
    firstStepAt: instantOrNull(served?.firstStepTime ?? state?.progress?.firstStep?.time),
    lastStep: highest([stepOf(trainer), served?.lastStep, state?.progress?.step]),
    trainerEndedAt: pod.trainer.state.kind === "Terminated" ? pod.trainer.state.finishedAt : null,
    ...(volume === "Durable" ? finalSave(pod, trainer) : mirroredSave(finalSave(pod, trainer), { trainer, agent })),
    graceSeconds: pod.graceSeconds,
    progress: state?.progress ?? null,
    heardAt: state === null ? null : (report?.receivedAt ?? null),
    resume: served?.resume ?? state?.progress?.resume ?? null,
    latestVerified: newest(served?.latestVerified, state?.latestVerified),
    best: served?.best ?? state?.best ?? null,
    catalogue: (state?.checkpoints ?? []).filter(({ verified }) => verified).map(catalogueEntry),
    noneVerified: agent?.kind === "restore-failed" && agent.failure === "NoVerifiedCheckpoint",
    refused: [...((agent ?? served)?.refused ?? []), ...(state?.refused ?? []), ...(state?.restored?.refused ?? [])],
    problems: state?.problems ?? null,
    dump: state?.stall?.dump ?? null,
    mirror: state?.mirror ?? null,
    fences: state?.fences ?? null,
  };
}

function recordOf<R extends AgentRecord | TrainerRecord>(record: R | null | undefined, attempt: number): R | null {
  return record?.attempt === attempt ? record : null;
}

function servedOf(record: AgentRecord | null) {
  return record?.kind === "served" ? record : null;
}

function resumeOf(state: AgentState | null): AttemptFacts["resumedFrom"] {
  const resume = state?.restored?.resume;
  return resume ? { step: resume.step, digest: resume.digest, tier: resume.tier } : null;
}

function stepOf(record: TrainerRecord | null): number | undefined {
  return record === null || record.kind === "incompatible" ? undefined : record.step;
}

function highest(steps: readonly (number | undefined)[]): number | null {
  const known = steps.filter((step) => step !== undefined);
  return known.length === 0 ? null : Math.max(...known);
}

/**
 * Of one attempt's two accounts the later one; a higher step is newer because both speak of one lineage, of the same step
 * the save of the higher attempt, and of the same checkpoint the account that knows of more copies.
 */
function newest(record: CheckpointSummary | null | undefined, polled: CheckpointSummary | null | undefined) {
  if (!record || !polled) return record ?? polled ?? null;
  if (polled.step !== record.step) return polled.step > record.step ? polled : record;
  if (polled.attempt !== record.attempt) return polled.attempt > record.attempt ? polled : record;
  return polled.tiers.length > record.tiers.length ? polled : record;
}

type FinalSave = Pick<AttemptFacts, "finalCheckpoint" | "graceUsedSeconds">;

/** Without a volume of its own a pod has saved what its agent had time to upload, which is known once that has ended. */
function mirroredSave(
  save: FinalSave,
  { trainer, agent }: { trainer: TrainerRecord | null; agent: AgentRecord | null },
): FinalSave {
  if (save.finalCheckpoint !== "Saved") return save;
  const served = servedOf(agent);
  if (served === null) return { ...save, finalCheckpoint: null };
  const isMirrored = trainer?.kind !== "incompatible" && served.latestVerified?.digest === trainer?.checkpoint;
  return { ...save, finalCheckpoint: isMirrored ? "Saved" : "TimedOut" };
}

function finalSave(pod: ObservedPod, record: TrainerRecord | null): FinalSave {
  if (record?.kind === "done") return { finalCheckpoint: "Saved", graceUsedSeconds: null };
  if (record?.kind === "preempted") {
    return { finalCheckpoint: record.finalCheckpoint, graceUsedSeconds: record.graceUsedSeconds };
  }
  // Asked to stop and nothing heard: the signal did not reach the trainer, or it had not begun.
  const asked = pod.deletionRequestedAt !== null && pod.trainer.state.kind === "Terminated";
  return { finalCheckpoint: asked ? "NotAttempted" : null, graceUsedSeconds: null };
}

function catalogueEntry({ verified: _, ...entry }: AgentState["checkpoints"][number]): CatalogueEntry {
  return entry;
}
