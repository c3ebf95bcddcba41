import type { ObjectStoreSpec } from "../api/checkpoint-spec.ts";
import type { TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { isTold, type Statement } from "./conditions.ts";
import type { Action, RunEvent } from "./decision.ts";
import type { Addition } from "./draft.ts";
import { instantOf, timeOf } from "./instant.ts";
import { removalPodName } from "./names.ts";
import { adviceOn } from "./object-store-advice.ts";
import type { CreateRefusal, Instant, Observed, ObservedRemoval } from "./observed.ts";
import type { PodSettings } from "./pod-settings.ts";
import { refusalRetryMs } from "./refusal.ts";
import { removalPod, removalSeconds } from "./removal-pod.ts";

//   none ──► create ──► removes ──► removed: the run goes
//    ▲                    │ failed (evicted, its node lost)
//    └──── delete it ◄────┘               in time no more, or in a namespace that goes: abandoned, and named
//
// One is tried however late it is, for the operator may have been away; none follows one that failed past the deadline.

/** What a deleted run's objects mean for its release. */
export type Removal =
  /** There is none to remove: kept by policy, never written, or removed. */
  | Readonly<{ kind: "Over" }>
  | Readonly<{ kind: "Under"; addition: Addition }>
  /** Given up; a pod that still tries goes with the run. */
  | Readonly<{ kind: "Abandoned"; event: RunEvent }>;

type Plan = Readonly<{ status: TrainingRunStatus; settings: PodSettings; deadline: Instant }>;

/** A pod that failed is left for so long before another takes its place, so that a node that refuses it is not flooded. */
const failedPauseMs = 15_000;
const lookAgainMs = 15_000;

/** Whether the objects of the run go with it. A run that never had an attempt has written none. */
export function removesObjects({ spec, status }: TrainingRun): boolean {
  return spec.deletionPolicy === "Delete" && spec.checkpoint.objectStore !== undefined && (status.attempt ?? 0) > 0;
}

/** Where the objects lie that go with the run, for a person; null where none do. */
export function removedPlace(run: TrainingRun): string | null {
  const { objectStore } = run.spec.checkpoint;
  return objectStore !== undefined && removesObjects(run) ? placeOf(run, objectStore) : null;
}

/** Judges how far the removal of a deleted run's objects is, once none of its training pods is waited for any more. */
export function judgeRemoval(observed: Observed, plan: Plan): Removal {
  const { run, removal, now } = observed;
  const { objectStore } = run.spec.checkpoint;
  if (objectStore === undefined || !removesObjects({ ...run, status: plan.status })) return { kind: "Over" };
  if (removal?.removed) return { kind: "Over" };
  const refusal = observed.refusals.find(({ name }) => name === removalPodName(run));
  const since = sinceOf(observed, plan.status, refusal);
  // Past the deadline, and past the time of a first try that came late.
  const end = removal?.failed ? plan.deadline : Math.max(plan.deadline, since + removalSeconds * 1000);
  if (now >= end || (refusal !== undefined && isTerminating(refusal))) {
    return abandoned(run, objectStore, wordsOf(observed, refusal));
  }
  const status = { ...plan.status, removalTime: timeOf(since) };
  return { kind: "Under", addition: { status, ...removing(observed, { ...plan, end, objectStore, refusal }) } };
}

/** When it was first tried, which no later pod changes: whoever deletes them would hold the run up for good. */
function sinceOf(
  { removal, now }: Observed,
  { removalTime }: TrainingRunStatus,
  refusal: CreateRefusal | undefined,
): Instant {
  return removalTime === undefined ? (removal?.createdAt ?? refusal?.firstAt ?? now) : instantOf(removalTime);
}

function removing(
  observed: Observed,
  {
    status,
    settings,
    end,
    objectStore,
    refusal,
  }: Plan & { end: Instant; objectStore: ObjectStoreSpec; refusal: CreateRefusal | undefined },
): Addition {
  const { run, now } = observed;
  const words = wordsOf(observed, refusal);
  const reason = words === "" ? "RemovingObjects" : "RemovalFailing";
  const trouble = words === "" ? "" : ` It has not come to it yet: ${words}`;
  const message = `The run was deleted, and the pod ${removalPodName(run)} removes ${placeOf(run, objectStore)}.${trouble}`;
  const statement: Statement = { type: "Progressing", status: "False", reason, message };
  const isNews = words !== "" && !isTold(status.conditions, statement);
  return {
    statements: [statement],
    actions: nextAction(observed, objectStore, settings, refusal),
    events: isNews ? [{ type: "Warning", reason, message }] : [],
    waits: [Math.min(end - now, lookAgainMs)],
  };
}

function nextAction(
  { run, removal, now }: Observed,
  objectStore: ObjectStoreSpec,
  settings: PodSettings,
  refusal: CreateRefusal | undefined,
): readonly Action[] {
  if (removal === null) {
    const pauses = refusal !== undefined && now < refusal.at + refusalRetryMs;
    return pauses ? [] : [{ kind: "CreateRemovalPod", manifest: removalPod(run, objectStore, settings) }];
  }
  return removal.failed && now >= removal.createdAt + failedPauseMs ? stop(removal) : [];
}

function abandoned(run: TrainingRun, objectStore: ObjectStoreSpec, words: string): Removal {
  const why = words === "" ? "The pod that removes them was not done in time." : words;
  const message = `Let the run go although its objects are not removed. Left: ${placeOf(run, objectStore)}; remove what is there by hand. ${why}`;
  return {
    kind: "Abandoned",
    event: { type: "Warning", reason: "ObjectsAbandoned", message: message.slice(0, 1024) },
  };
}

function stop({ name, uid, deletionRequested }: ObservedRemoval): Action[] {
  return deletionRequested ? [] : [{ kind: "DeletePod", name, uid }];
}

/** Everything below the run's prefix, as a person would look for it. */
function placeOf({ metadata }: TrainingRun, { endpoint, bucket, prefix = "" }: ObjectStoreSpec): string {
  const names = [bucket, prefix.replace(/^\/+|\/+$/g, ""), metadata.uid].filter((name) => name !== "");
  return `the objects below ${names.join("/")}/ at ${endpoint}`;
}

/** Why the removal does not get on: the API server's words, the kubelet's, or the agent's with what to do. */
function wordsOf({ run, removal }: Observed, refusal: CreateRefusal | undefined): string {
  if (removal === null) {
    return refusal === undefined ? "" : `the API server refused the pod: ${refusal.message}`;
  }
  return [removal.message, adviceOn(removal.reason, run)].filter((each) => each !== "").join(" ");
}

/** Nothing can be created in a namespace that is being deleted, however long one waits. */
function isTerminating({ status, message }: CreateRefusal): boolean {
  return status === 403 && message.includes("it is being terminated");
}
