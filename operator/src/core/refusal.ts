import type { AttemptEntry } from "../api/status.ts";
import { claimNameOf, podName, serviceName } from "./names.ts";
import type { CreateRefusal, Observed } from "./observed.ts";
import type { Obstacle } from "./supported.ts";
import { workersOf } from "./workers.ts";

/** A refused creation is left alone for so long at least. */
export const refusalRetryMs = 15_000;
/** Whoever makes room is not waited for longer than this. */
const longestRetryMs = 300_000;

/** Why something the attempt needs is not there, and how long it is left alone; 0 where it is to be tried. */
export type Refused = Obstacle & Readonly<{ leftMs: number }>;

/** The last refusal of what the attempt needs, in the API server's words; null where nothing was refused. */
export function refusalOf(observed: Observed, entry: AttemptEntry): Refused | null {
  const { run, refusals } = observed;
  const workers = Array.from({ length: workersOf(entry) }, (_, worker) => podName(run, entry.number, worker));
  const names = new Set([claimNameOf(run), ...(workersOf(entry) > 1 ? [serviceName(run)] : []), ...workers]);
  return refused(
    observed,
    refusals.find(({ name }) => names.has(name)),
  );
}

/** The same of a gang's Service alone. */
export function serviceRefusal(observed: Observed): Refused | null {
  const { run, refusals } = observed;
  return refused(
    observed,
    refusals.find(({ kind, name }) => kind === "Service" && name === serviceName(run)),
  );
}

/** Room may come for what a quota refuses as soon as something else goes; what a policy refuses stays refused. */
export function isOverQuota({ message }: Pick<CreateRefusal, "message">): boolean {
  return message.includes("exceeded quota");
}

function refused(observed: Observed, refusal: CreateRefusal | undefined): Refused | null {
  if (refusal === undefined) return null;
  return {
    reason: isOverQuota(refusal) ? "QuotaExceeded" : "CreationRefused",
    message: `Cannot create ${nounOf(refusal)} ${refusal.name} because the API server refused it: ${refusal.message}`,
    leftMs: leftMs(observed, refusal),
  };
}

/**
 * It is left alone for as long as it has been refused already, so for twice as long each time; an edit of the run has it
 * tried at once. Nothing tells when a quota is raised or a policy taken back: what refuses is not the run's, and to watch
 * it would take rights that reach further than runs do.
 */
function leftMs({ now, run }: Observed, { at, inVainSince, generation }: CreateRefusal): number {
  if (generation !== run.metadata.generation) return 0;
  const pauseMs = Math.min(longestRetryMs, Math.max(refusalRetryMs, at - inVainSince));
  return Math.max(0, at + pauseMs - now);
}

function nounOf({ kind }: CreateRefusal): string {
  return kind === "PersistentVolumeClaim" ? "the claim" : kind === "Pod" ? "the pod" : "the service";
}
