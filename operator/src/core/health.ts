import type { TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { goingClaim } from "./claim.ts";
import { isTold, type Statement } from "./conditions.ts";
import type { RunEvent } from "./decision.ts";
import type { AttemptFacts } from "./facts.ts";
import { gracePeriod } from "./grace-period.ts";
import { mirrorProblem, mirrorWords } from "./mirror-health.ts";
import { adviceOn } from "./object-store-advice.ts";
import type { Observed } from "./observed.ts";
import { durabilityOf } from "./pod-environment.ts";
import { adviceOnStorage } from "./storage-advice.ts";

/** What the checkpoints' state amounts to, for people. */
export function healthStatements(
  observed: Observed,
  status: TrainingRunStatus,
  facts: AttemptFacts | null,
): Statement[] {
  const { run } = observed;
  return [
    ...checkpointsHealthy(observed, status, facts),
    ...resumePoint(run, status),
    ...gracePeriod(run, status, facts),
  ];
}

/** A warning once the claim begins to go. */
export function healthEvents({ run, volume }: Observed): RunEvent[] {
  const going = goingClaim(run, volume);
  if (going === null || isTold(run.status.conditions, { type: "CheckpointsHealthy", status: "False", ...going }))
    return [];
  return [{ type: "Warning", ...going }];
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

function checkpointsHealthy(
  { run, volume }: Observed,
  status: TrainingRunStatus,
  facts: AttemptFacts | null,
): Statement[] {
  const type = "CheckpointsHealthy";
  const mirror = facts?.mirror ?? null;
  const behind = mirror === null ? null : mirrorProblem(run, status, mirror);
  const present = [
    goingClaim(run, volume),
    ...(facts?.problems ?? []).filter(({ reason }) => reason !== behind?.reason).map(withAdvice),
    behind,
  ];
  const [first, ...others] = [...present, unavailable(run, status) ?? unverified(status)].filter(
    (each) => each !== null,
  );
  if (first !== undefined) {
    const message = [first, ...others].map((each) => each.message).join(" ");
    return [{ type, status: "False", reason: first.reason, message }];
  }
  // Without an answer nothing new is known about the storage.
  if (facts?.problems === null || facts === null) return [];
  const message = [
    "What was saved has been verified, and the storage reports no problem.",
    ...(mirror === null ? [] : [mirrorWords(status, mirror)]),
  ];
  return [{ type, status: "True", reason: "Healthy", message: message.join(" ") }];
}

type Problem = Readonly<{ reason: string; message: string }>;

function withAdvice({ reason, message }: Problem): Problem {
  return { reason, message: `${message} ${adviceOnStorage(reason)}`.trimEnd() };
}

/** The last restore could not read a tier, and no attempt has begun since. */
function unavailable(run: TrainingRun, { attempts }: TrainingRunStatus): Problem | null {
  const last = attempts?.[0];
  if (last?.cause !== "StorageUnavailable") return null;
  const { reason = last.cause, message = "" } = last;
  return { reason, message: `${message} ${adviceOn(reason, run)}`.trim() };
}

function unverified({ refused, latestVerified }: TrainingRunStatus): Problem | null {
  const [newest] = refused ?? [];
  if (newest === undefined || newest.step <= (latestVerified?.step ?? -1)) return null;
  const message = `The checkpoint of step ${newest.step} did not verify (${newest.reason}) and none newer has been verified since: ${newest.message}`;
  return { reason: "VerificationFailed", message };
}

function resumePoint(run: TrainingRun, { latestVerified }: TrainingRunStatus): Statement[] {
  const type = "ResumePointReady";
  if (latestVerified === undefined) {
    const none =
      durabilityOf(run) === "Ephemeral"
        ? "No checkpoint has been mirrored yet, and the run has no volume"
        : "No checkpoint has been verified yet";
    const message = `${none}: an interruption now starts from step 0.`;
    return [{ type, status: "False", reason: "NoneVerified", message }];
  }
  const { step, digest } = latestVerified;
  return [
    { type, status: "True", reason: "Verified", message: `An interruption now resumes from step ${step} (${digest}).` },
  ];
}
