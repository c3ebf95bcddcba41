import type { AttemptEntry } from "../api/status.ts";
import { fraction } from "./backoff.ts";
import { claimNameOf, podName, serviceName } from "./names.ts";
import type { CreateRefusal, Instant, Observed } from "./observed.ts";
import type { Obstacle } from "./supported.ts";
import { workersOf } from "./workers.ts";

/** A refused creation is left alone for so long at least. */
export const refusalRetryMs = 15_000;
/** Whoever makes room, or takes a policy back, is not waited for longer than this. */
const longestRetryMs = 300_000;
/** Nor longer than this for what comes back by itself, and at any moment: pods are waited for that nothing else keeps from training. */
const passingRetryMs = 30_000;
/** But of many runs that wait for it each is tried the more rarely: a webhook that is away may keep each of them for seconds. */
const passingRetryEachMs = 100;
/** Whoever counts what a quota is used for has heard by then of what went. */
const recountMs = 2_000;

/** Why something the attempt needs is not there, and how long it is left alone; 0 where it is to be tried. */
export type Refused = Obstacle & Readonly<{ leftMs: number }>;

/** The last refusal of what the attempt needs, in the API server's words; null where nothing was refused. */
export function refusalOf(observed: Observed, entry: AttemptEntry): Refused | null {
  const { run, refusals } = observed;
  const workers = Array.from({ length: workersOf(entry) }, (_, worker) => podName(run, entry.number, worker));
  const names = new Set([claimNameOf(run), ...(workersOf(entry) > 1 ? [serviceName(run)] : []), ...workers]);
  return newest(
    observed,
    refusals.filter(({ name }) => names.has(name)),
  );
}

/** The same of a gang's Service alone. */
export function serviceRefusal(observed: Observed): Refused | null {
  const { run, refusals } = observed;
  return newest(
    observed,
    refusals.filter(({ kind, name }) => kind === "Service" && name === serviceName(run)),
  );
}

/** Room may come for what a quota refuses as soon as something else goes; what a policy refuses stays refused. */
export function isOverQuota({ message }: Pick<CreateRefusal, "message">): boolean {
  return message.includes("exceeded quota");
}

/** What stands by now, whoever made it, is not asked for again: that it was refused once is history. */
function newest(observed: Observed, refusals: readonly CreateRefusal[]): Refused | null {
  const refusal = refusals
    .filter((refusal) => !stands(observed, refusal))
    .toSorted((a, b) => a.at - b.at)
    .at(-1);
  if (refusal === undefined) return null;
  return {
    reason: isOverQuota(refusal) ? "QuotaExceeded" : "CreationRefused",
    message: `Cannot create ${nounOf(refusal)} ${refusal.name} because the API server refused it: ${refusal.message}`,
    leftMs: leftMs(observed, refusal),
  };
}

function stands({ pods, volume, service }: Observed, { kind, name }: CreateRefusal): boolean {
  if (kind === "Pod") return pods.some((pod) => pod.name === name);
  if (kind === "Service") return service === "Present";
  return volume.kind === "Present" && volume.claimName === name;
}

/**
 * It is left alone for as long as it has been refused already, so for twice as long each time; an edit of the run has it
 * tried at once. Nothing tells when a quota is raised or a policy taken back: what refuses is not the run's, and to watch
 * it would take rights that reach further than runs do. What was refused together is tried up to a quarter earlier, each
 * at an instant of its own.
 */
function leftMs({ now, run }: Observed, refusal: CreateRefusal): number {
  const { at, inVainSince, generation } = refusal;
  if (generation !== run.metadata.generation) return 0;
  const early = 1 - 0.25 * fraction(`${run.metadata.uid}/${at}`);
  const pauseMs = Math.min(longestPauseMs(refusal), Math.max(refusalRetryMs, at - inVainSince));
  const dueAt = Math.max(at + pauseMs * early, roomAfter(refusal) + recountMs * early);
  return Math.max(0, Math.round(dueAt - now));
}

/** When something went that was perhaps in the way, where that was after the refusal. */
function roomAfter({ at, inVainSince }: CreateRefusal): Instant {
  return inVainSince > at ? inVainSince : Number.NEGATIVE_INFINITY;
}

function longestPauseMs(refusal: CreateRefusal): number {
  if (!isPassing(refusal)) return longestRetryMs;
  return Math.min(longestRetryMs, Math.max(passingRetryMs, (refusal.crowd ?? 1) * passingRetryEachMs));
}

/**
 * A webhook that cannot be reached, a name that another object holds, a right that is missing, as for a moment on a server
 * that starts: none of them is about what was asked for.
 */
function isPassing({ status, message }: Pick<CreateRefusal, "status" | "message">): boolean {
  return status >= 500 || status === 409 || /User "[^"]*" cannot /.test(message);
}

/**
 * What it is that refuses, as far as others wait for the same to come back; null where it does not come back by itself. A
 * webhook that is away keeps those of all namespaces waiting, and a name or a right is a matter of one.
 */
export function refuserOf(refusal: Pick<CreateRefusal, "status" | "message">, namespace: string): string | null {
  if (!isPassing(refusal)) return null;
  if (refusal.status < 500) return `namespace ${namespace}`;
  return `webhook ${/webhook "([^"]*)"/.exec(refusal.message)?.[1] ?? ""}`;
}

function nounOf({ kind }: CreateRefusal): string {
  return kind === "PersistentVolumeClaim" ? "the claim" : kind === "Pod" ? "the pod" : "the service";
}
