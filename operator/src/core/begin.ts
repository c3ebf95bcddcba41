import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import { type ClaimVerdict, judgeClaim } from "./claim.ts";
import { isTold } from "./conditions.ts";
import { creations } from "./creation.ts";
import { deadlineOf, deadlineWait } from "./deadline.ts";
import type { RunEvent } from "./decision.ts";
import { add, type Draft } from "./draft.ts";
import { unfenceable } from "./fencing.ts";
import { absentSourceRetryMs, type ForkVerdict, judgeFork } from "./fork.ts";
import { tidyIdlePods } from "./housekeeping.ts";
import { instantOf, timeOf } from "./instant.ts";
import { beginEntry, nextNumber } from "./ledger.ts";
import { choiceToTake } from "./lineage.ts";
import { newestMirrored } from "./mirror-health.ts";
import type { Observed } from "./observed.ts";
import { silentNode, stuckPod, stuckWait } from "./obstacle.ts";
import { podHash } from "./pod-hash.ts";
import type { PodSettings } from "./pod-settings.ts";
import { queuePlace } from "./queue-metadata.ts";
import { refusedSpec } from "./refused-spec.ts";
import { fail } from "./settle.ts";
import type { Obstacle } from "./supported.ts";
import type { Survey } from "./survey.ts";
import { heldEnd } from "./undecided-charge.ts";

/** No attempt lives: says why none may begin, or begins the next one. */
export function decideNext(
  observed: Observed,
  draft: Draft,
  { scene, settings }: { scene: Survey; settings: PodSettings },
): Draft {
  const { run, now } = observed;
  const tidied = add(draft, observed, { actions: tidyIdlePods(scene, draft.status, observed) });
  const { status } = tidied;
  if (run.spec.suspend) return suspended(observed, tidied);
  const resumed = add(unsuspended(observed, tidied), observed, { waits: stuckWait(scene.others, now) });
  const deadline = deadlineOf(run, status);
  if (deadline !== null && now >= deadline) {
    const message = `spec.activeDeadlineSeconds (${run.spec.activeDeadlineSeconds}) went by.`;
    return fail(observed, resumed, { reason: "DeadlineExceeded", message });
  }
  const timed = add(resumed, observed, { waits: deadlineWait(run, status, now) });
  const claim = judgeClaim({ ...run, status }, observed.volume);
  if (claim.kind === "Lost") return fail(observed, resumed, { reason: "NoVerifiedCheckpoint", message: claim.message });
  const fork = judgeFork(observed, status);
  const obstacle =
    refusedSpec(run) ??
    livingPod(observed, scene) ??
    missingChoice(observed, status) ??
    obstacleOf(fork) ??
    obstacleOf(claim);
  if (obstacle !== null) {
    const waits = obstacle === obstacleOf(fork) ? [absentSourceRetryMs] : [];
    return blocked(observed, add(timed, observed, { waits }), obstacle);
  }
  const held = heldEnd(run, status);
  if (held !== null) return heldBack(observed, timed, held);
  const due = dueTime(observed, status);
  if (due !== undefined && now < instantOf(due)) return backingOff(observed, timed, due);
  return begun(observed, add(timed, observed, { events: lostVolume(status, claim) }), { settings, fork });
}

/** The run's own claim is gone with checkpoints on it, and an attempt begins all the same. */
function lostVolume(status: TrainingRunStatus, claim: ClaimVerdict): readonly RunEvent[] {
  if (claim.kind !== "Create" || status.latestVerified === undefined) return [];
  const mirrored = newestMirrored(status);
  const there =
    mirrored === null
      ? "no checkpoint is known to be in the object store, which the restore reads now"
      : `the newest that is known to be in the object store is of step ${mirrored.step}`;
  const message = `The claim ${claim.manifest.metadata.name} is gone and is made anew. The newest verified checkpoint was of step ${status.latestVerified.step}; ${there}.`;
  return [{ type: "Warning", reason: "VolumeLost", message }];
}

/** When the next attempt may begin: never later than the longest wait, whoever wrote it by whatever clock. */
function dueTime({ run, now }: Observed, { retry }: TrainingRunStatus): string | undefined {
  const latest = now + run.spec.retry.backoff.maxSeconds * 1000;
  const due = retry?.nextAttemptTime;
  return due === undefined || instantOf(due) <= latest ? due : timeOf(latest);
}

function begun(
  observed: Observed,
  draft: Draft,
  { settings, fork }: { settings: PodSettings; fork: ForkVerdict },
): Draft {
  const { run, now } = observed;
  const { workers } = run.spec;
  const status = beginEntry(withoutDue(draft.status), {
    generation: run.metadata.generation,
    podHash: podHash(run),
    workers,
    queue: queuePlace(run, { number: nextNumber(draft.status), workers }),
    from: choiceToTake(run, draft.status.base),
    ...(fork.kind === "Ready" ? { source: fork.source } : {}),
    now,
  });
  const entry = status.attempts?.[0];
  if (entry === undefined) return draft;
  return add(draft, observed, {
    status,
    state: "Pending",
    statements: [progressing("Starting", `Attempt ${entry.number} is being created.`)],
    actions: creations(observed, { status, entry, settings }),
    events: [
      { type: "Normal", reason: "AttemptStarted", message: startMessage(entry, draft.status) },
      ...withoutFence(observed, entry, status),
    ],
  });
}

/** Told before it is needed: with these means, a lost node can only be waited for. */
function withoutFence(observed: Observed, { number }: AttemptEntry, status: TrainingRunStatus): readonly RunEvent[] {
  const why = observed.run.spec.nodeLost.policy === "Fence" ? unfenceable(observed, status) : null;
  if (why === null) return [];
  const message = `Attempt ${number} will be waited for if its node is lost, whatever spec.nodeLost says: ${why}.`;
  return [{ type: "Warning", reason: "FenceUnavailable", message: message.slice(0, 1024) }];
}

function withoutDue(status: TrainingRunStatus): TrainingRunStatus {
  if (status.retry === undefined) return status;
  const { nextAttemptTime: _, ...retry } = status.retry;
  return { ...status, retry };
}

function startMessage(entry: AttemptEntry, status: TrainingRunStatus): string {
  const from =
    entry.from !== undefined
      ? ` from the chosen ${entry.from}`
      : status.latestVerified
        ? `; the newest verified checkpoint is of step ${status.latestVerified.step}`
        : "";
  return `Attempt ${entry.number} begins${from}.`;
}

function suspended(observed: Observed, draft: Draft): Draft {
  const { startTime: _, ...status } = draft.status;
  const message = "spec.suspend is set. Set it to false to go on from the newest verified checkpoint.";
  const already = draft.status.state === "Suspended";
  return add(draft, observed, {
    status,
    state: "Suspended",
    statements: [
      { type: "Suspended", status: "True", reason: "SuspendRequested", message },
      progressing("Suspended", message),
    ],
    events: already ? [] : [{ type: "Normal", reason: "Suspended", message: "No attempt runs any more." }],
  });
}

function unsuspended(observed: Observed, draft: Draft): Draft {
  const was = draft.status.conditions?.some(({ type, status }) => type === "Suspended" && status === "True");
  if (!was) return draft;
  return add(draft, observed, {
    statements: [{ type: "Suspended", status: "False", reason: "Resumed", message: "spec.suspend was cleared." }],
    events: [{ type: "Normal", reason: "Resumed", message: "spec.suspend was cleared." }],
  });
}

function blocked(observed: Observed, draft: Draft, { reason, message }: Obstacle): Draft {
  const statement = progressing(reason, message);
  return add(draft, observed, {
    state: "Pending",
    statements: [statement],
    events: isTold(draft.status.conditions, statement) ? [] : [{ type: "Warning", reason, message }],
  });
}

function backingOff(observed: Observed, draft: Draft, due: string): Draft {
  const { retry, attempts } = draft.status;
  const last = attempts?.[0];
  const message = `Attempt ${(last?.number ?? 0) + 1} begins at ${due}, because attempt ${last?.number} ended: ${last?.cause}. ${last?.message ?? ""}`;
  return add(draft, observed, {
    status: retry === undefined ? draft.status : { ...draft.status, retry: { ...retry, nextAttemptTime: due } },
    state: "Backoff",
    statements: [progressing("Backoff", message.trim())],
    waits: [instantOf(due) - observed.now],
  });
}

/** Not before it is known whether the run is over: until then nothing begins, and a node that is found lost lets it go on. */
function heldBack(observed: Observed, draft: Draft, { due, message }: { due: string; message: string }): Draft {
  const words = `The run ends at ${due}, unless a node of its last attempt turns out to be lost. ${message}`;
  return add(draft, observed, { state: "Backoff", statements: [progressing("ChargeUndecided", words)] });
}

/** Never two pods at once: whatever still runs of an earlier attempt must end first. */
function livingPod(observed: Observed, { others }: Survey): Obstacle | null {
  const alive = others.find(({ end }) => end.kind === "Alive");
  if (alive === undefined) return null;
  return (
    silentNode(observed, alive.pod) ??
    stuckPod(alive.pod, observed.now) ?? {
      reason: "PodStopping",
      message: `Cannot start an attempt because the pod ${alive.pod.name} of an earlier one has not ended yet.`,
    }
  );
}

/** A checkpoint of the user's choice that was not there ends nothing: the run waits for another choice. */
function missingChoice({ run }: Observed, status: TrainingRunStatus): Obstacle | null {
  const last = status.attempts?.[0];
  const choice = choiceToTake(run, status.base);
  if (choice === undefined || last?.cause !== "NoVerifiedCheckpoint" || last.from !== choice) return null;
  // Another run may have come to that step since; whoever edits this one asks for one more look.
  if (last.source !== undefined && last.generation !== run.metadata.generation) return null;
  const other =
    last.source === undefined
      ? "name a step of status.checkpoints, or remove it"
      : "name another one, or, once it is there, set spec.suspend to true and back to false to look again";
  return {
    reason: "ResumePointMissing",
    message:
      `Cannot start an attempt because no verified checkpoint matches spec.resume.from ${choice}: ${other}. ${last.message ?? ""}`.trim(),
  };
}

function obstacleOf(verdict: ClaimVerdict | ForkVerdict): Obstacle | null {
  return verdict.kind === "Wait" ? verdict.obstacle : null;
}

function progressing(reason: string, message: string) {
  return { type: "Progressing", status: "False", reason, message } as const;
}
