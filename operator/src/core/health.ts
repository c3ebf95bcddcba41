import type { TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import type { Statement } from "./conditions.ts";
import type { RunEvent } from "./decision.ts";
import type { AttemptFacts } from "./facts.ts";
import { graceSecondsOf } from "./pod-environment.ts";

/** What the checkpoints' state amounts to, for people. */
export function healthStatements(run: TrainingRun, status: TrainingRunStatus, facts: AttemptFacts | null): Statement[] {
  return [...checkpointsHealthy(status, facts), ...resumePoint(status), ...gracePeriod(run, status, facts)];
}

/** One warning for every checkpoint that was found damaged since the last pass. */
export function refusalEvents(before: TrainingRunStatus, after: TrainingRunStatus): RunEvent[] {
  const known = new Set(before.refused?.map(({ digest }) => digest));
  return (after.refused ?? [])
    .filter(({ digest }) => !known.has(digest))
    .map(({ step, attempt, reason, message, node }) => ({
      type: "Warning",
      reason: "CheckpointRefused",
      message:
        `Checkpoint of step ${step}, attempt ${attempt}, was refused on node ${node}: ${reason}. ${message}`.slice(
          0,
          1024,
        ),
    }));
}

function checkpointsHealthy(status: TrainingRunStatus, facts: AttemptFacts | null): Statement[] {
  const type = "CheckpointsHealthy";
  const problem = facts?.problems?.[0];
  if (problem) return [{ type, status: "False", reason: problem.reason, message: problem.message }];
  const refused = status.refused?.[0];
  if (refused !== undefined && refused.step > (status.latestVerified?.step ?? -1)) {
    const message = `The checkpoint of step ${refused.step} did not verify (${refused.reason}) and none newer has been verified since: ${refused.message}`;
    return [{ type, status: "False", reason: "VerificationFailed", message }];
  }
  // Without an answer nothing new is known about the storage.
  if (facts?.problems === null || facts === null) return [];
  return [
    {
      type,
      status: "True",
      reason: "Healthy",
      message: "What was saved has been verified, and the storage reports no problem.",
    },
  ];
}

function resumePoint({ latestVerified }: TrainingRunStatus): Statement[] {
  const type = "ResumePointReady";
  if (latestVerified === undefined) {
    return [
      {
        type,
        status: "False",
        reason: "NoneVerified",
        message: "No checkpoint has been verified yet: an interruption now starts from step 0.",
      },
    ];
  }
  const { step, digest } = latestVerified;
  return [
    { type, status: "True", reason: "Verified", message: `An interruption now resumes from step ${step} (${digest}).` },
  ];
}

/** Compares the longest save that was seen with the time there is for the last one. */
function gracePeriod(run: TrainingRun, status: TrainingRunStatus, facts: AttemptFacts | null): Statement[] {
  const type = "GracePeriodSufficient";
  const polled = facts?.progress?.saves;
  const finals = (status.attempts ?? []).map(({ graceUsedSeconds }) => Number(graceUsedSeconds ?? 0));
  const longest = Math.ceil(Math.max(0, ...finals, polled && polled.committed > 0 ? polled.lastSeconds : 0));
  const timedOut = status.attempts?.find(({ finalCheckpoint }) => finalCheckpoint === "TimedOut");
  const grace = graceSecondsOf(run);
  if (timedOut !== undefined || longest > grace) {
    const seen = timedOut ? `attempt ${timedOut.number} could not save in time` : `a save took ${longest} s`;
    const message = `The grace period is ${grace} s, but ${seen}: raise template.spec.terminationGracePeriodSeconds.`;
    return [{ type, status: "False", reason: "TooShort", message }];
  }
  if (longest === 0) return [];
  return [
    {
      type,
      status: "True",
      reason: "LongEnough",
      message: `Saves seen so far fit into the grace period of ${grace} s.`,
    },
  ];
}
