import type { AttemptEntry, ForkedFrom, TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { isPlace, placeOf } from "./fork-uri.ts";
import { choiceToTake } from "./lineage.ts";
import { claimNameOf } from "./names.ts";
import type { Observed, ObservedSource } from "./observed.ts";
import type { Obstacle } from "./supported.ts";

/** What a choice of another run's checkpoint means for the next attempt. */
export type ForkVerdict =
  /** None is chosen, or it was taken. */
  | Readonly<{ kind: "None" }>
  | Readonly<{ kind: "Ready"; source: ForkedFrom }>
  | Readonly<{ kind: "Wait"; obstacle: Obstacle }>;

/** How long a run that is not there is left alone before it is looked for again. */
export const absentSourceRetryMs = 15_000;

/**
 * Finds out whose checkpoint the next attempt is to copy, and where that lies. Whoever had the name when this was first
 * answered stays the source: its uid is in the ledger, so a run that is made later under the same name is never taken
 * for it, and the source itself may be gone by then, if its data is not.
 */
export function judgeFork({ run, source }: Observed, status: TrainingRunStatus): ForkVerdict {
  const last = status.attempts?.[0];
  const { from } = run.spec.resume;
  const choice = choiceToTake(run, status.base);
  if (choice === undefined) return unheard(status, last);
  if (from?.run === undefined && from?.uri === undefined) return { kind: "None" };
  const since = (status.attempt ?? 0) + 1;
  if (last?.from === choice && last.source !== undefined && !last.opened) return ready({ ...last.source, since });
  const found = from.uri === undefined ? ofRun(run, source) : atPlace(run, from.uri);
  if (typeof found === "string") return wait(found);
  if (found.uid === run.metadata.uid)
    return wait("it names this run itself, whose own checkpoints are chosen by {step} alone");
  const { step, digest } = from;
  return ready({
    ...found,
    ...(step === undefined ? {} : { step }),
    ...(digest === undefined ? {} : { digest }),
    since,
  });
}

/** The run that `spec.resume.from` names, where that is another one. */
export function sourceNameOf({ spec, metadata }: TrainingRun): string | null {
  const name = spec.resume.from?.run;
  return name === undefined || name === metadata.name ? null : name;
}

/**
 * Nothing was heard of the attempt that was to take it, so it counts as taken, and perhaps is not. The next one asks the
 * log, which knows: else a run that nobody heard of would begin at step 0.
 */
function unheard({ base }: TrainingRunStatus, last: AttemptEntry | undefined): ForkVerdict {
  const isAssumed = base !== undefined && base.digest === undefined && base.sinceAttempt === last?.source?.since;
  if (last?.source === undefined || last.opened || !isAssumed) return { kind: "None" };
  return ready(last.source);
}

type Found = Omit<ForkedFrom, "since">;

function ofRun(run: TrainingRun, source: ObservedSource | undefined): Found | string {
  const name = run.spec.resume.from?.run;
  if (name === run.metadata.name) return "it names this run itself, whose own checkpoints are chosen by {step} alone";
  if (source === undefined || source.kind === "Absent") return `there is no run ${name} in this namespace`;
  if (source.kind === "Unreadable") return `the run ${name} cannot be read: ${source.message}`;
  const shared = { ...sharedClaim(run, source), ...sharedBucket(run, source) };
  if (shared.claim !== undefined || shared.bucket !== undefined) return { uid: source.uid, ...shared };
  return `the runs share neither a claim nor a bucket of one endpoint: name the checkpoint of ${name} by {uri, digest}`;
}

function sharedClaim(run: TrainingRun, { claimName }: { claimName: string | null }): Pick<Found, "claim"> {
  return claimName !== null && claimName === claimNameOf(run) ? { claim: claimName } : {};
}

function sharedBucket(
  { spec }: TrainingRun,
  { objectStore: theirs }: Extract<ObservedSource, { kind: "Present" }>,
): Pick<Found, "bucket" | "prefix"> {
  const ours = spec.checkpoint.objectStore;
  if (ours === undefined || theirs === null) return {};
  const isShared = bare(ours.endpoint) === bare(theirs.endpoint) && ours.bucket === theirs.bucket;
  return isShared ? { bucket: theirs.bucket, prefix: theirs.prefix } : {};
}

function atPlace({ spec }: TrainingRun, uri: string): Found | string {
  const { objectStore } = spec.checkpoint;
  const place = placeOf(uri, objectStore?.endpoint);
  if (!isPlace(place)) return place;
  if (place.bucket !== undefined && objectStore === undefined)
    return `the address ${uri} needs spec.checkpoint.objectStore, with whose endpoint and keys it is read`;
  return place;
}

function bare(endpoint: string): string {
  return endpoint.replace(/\/+$/, "");
}

function ready(source: ForkedFrom): ForkVerdict {
  return { kind: "Ready", source };
}

function wait(because: string): ForkVerdict {
  const message = `Cannot start an attempt because spec.resume.from has to lead to a checkpoint: ${because}.`;
  return { kind: "Wait", obstacle: { reason: "ResumePointMissing", message } };
}
