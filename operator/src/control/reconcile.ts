import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import type { Decision, RunEvent } from "../core/decision.ts";
import { isUndecided } from "../core/ledger.ts";
import type { Observed } from "../core/observed.ts";
import { isBeyondOurRights, isConflict, isNotFound, isRefusal } from "../kubernetes/api-error.ts";
import type { Bound } from "../kubernetes/client.ts";
import type { EventSink } from "../kubernetes/event-recorder.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import type { Resource } from "../kubernetes/resource.ts";
import { OldPictureError } from "../kubernetes/writes.ts";
import { type Applied, apply } from "./apply.ts";
import { trainingRuns } from "./caches.ts";
import type { PassOutcome } from "./controller.ts";
import type { HeldStatuses } from "./held-statuses.ts";
import type { DroppedFields } from "./kept-fields.ts";
import type { LateClaims } from "./late-claims.ts";
import type { Log } from "./log.ts";
import { observe, type Sources } from "./observe.ts";
import type { OwnWrites } from "./own-writes.ts";
import type { RunEvents } from "./run-events.ts";
import { releaseStrays } from "./strays.ts";
import type { SyncGate } from "./sync-gate.ts";
import { writeUnreadable } from "./unreadable.ts";
import { refusalWords } from "./write-status.ts";

/** What one pass needs besides what it observes. */
export type Reconciler = Readonly<{
  sources: Sources;
  gate: Pick<SyncGate, "isOpenFor">;
  lateClaims: LateClaims;
  ownWrites: OwnWrites;
  held: HeldStatuses;
  dropped: DroppedFields;
  decide: (observed: Observed) => Decision;
  recorder: EventSink;
  runEvents: RunEvents;
  log: Log;
  /** Told of each attempt whose end was recorded just now. */
  onAttemptEnded: (entry: AttemptEntry) => void;
}>;

/** One pass: observe, decide, write. */
export async function reconcile(key: string, reconciler: Reconciler, bound: Bound): Promise<PassOutcome> {
  const { sources, gate, ownWrites, decide } = reconciler;
  if (!gate.isOpenFor(key)) return { kind: "Held", requeueAfterMs: unsyncedRecheckMs };
  // The write's own event brings the run back here; the delay only covers an event that is never told.
  if (!ownWrites.areSeen(key)) return { kind: "Held", requeueAfterMs: unseenRecheckMs };
  await releaseStrays(key, { ...sources, written: (resource, object) => ownWrites.note(key, resource, object) }, bound);
  await reconciler.lateClaims.sweep(key, sources, bound);
  const observation = await observe(key, sources, bound);
  if (observation.kind === "Absent") return { kind: "Settled" };
  if (observation.kind === "Unreadable") {
    reconciler.log("warn", observation.message, { run: key });
    const message = `${observation.message}. Nothing is begun or ended for it until its fields are mended, or until an operator of the version that wrote them serves it.`;
    publish({ type: "Warning", reason: "Unreadable", message }, observation.raw, reconciler);
    return await tellUnreadable(key, observation.raw, { message, ...reconciler, bound });
  }
  const { observed, raw, doubt, statusIsRead } = observation;
  if (doubt !== undefined) publish(doubt, raw, reconciler);
  const decided = decide(observed);
  const decision = statusIsRead ? decided : { ...decided, status: observed.run.status };
  try {
    return await write(key, { observed, raw, decision }, { ...reconciler, bound });
  } finally {
    forgetGone(key, raw.metadata.uid, reconciler);
  }
}

/** A run may go in the midst of its pass, which then has noted something for what nobody will ask about or forget. */
function forgetGone(key: string, uid: string, { sources, held, runEvents }: Reconciler): void {
  if (sources.caches.runs.get(key)?.metadata.uid === uid) return;
  sources.refusals.forget(uid);
  held.forget(uid);
  runEvents.forget(uid);
}

async function tellUnreadable(
  key: string,
  raw: KubeObject,
  { message, sources, ownWrites, bound }: Reconciler & Readonly<{ message: string; bound: Bound }>,
): Promise<PassOutcome> {
  const written = (resource: Resource, object: KubeObject) => ownWrites.note(key, resource, object);
  try {
    await writeUnreadable(raw, message, { client: sources.client, now: sources.now, written }, bound);
    return { kind: "Settled", requeueAfterMs: lookAgainMs() };
  } catch (error) {
    return outcomeOfError(error);
  }
}

const unseenRecheckMs = 1_000;
const unsyncedRecheckMs = 60_000;

/** Every run is looked at now and then without a cause: a change that woke nobody costs minutes, not the run. */
function lookAgainMs(): number {
  return 240_000 + Math.random() * 120_000;
}

type Pass = Readonly<{ observed: Observed; raw: KubeObject; decision: Decision }>;
type Place = Reconciler & Readonly<{ bound: Bound }>;

async function write(key: string, pass: Pass, place: Place): Promise<PassOutcome> {
  const { observed, raw, decision } = pass;
  const { run } = observed;
  const { client, refusals, now } = place.sources;
  const leftMs = place.held.leftMs(run.metadata.uid, { stored: run.status, decision });
  // Not settled: a status that was refused would begin its back-off anew each time it has waited.
  if (leftMs > 0) return { kind: "Held", requeueAfterMs: Math.min(leftMs, decision.requeueAfterMs ?? leftMs) };
  const writers = {
    client,
    now,
    written: (resource: Resource, object: KubeObject) => place.ownWrites.note(key, resource, object),
    created: (name: string) => refusals.clear(run.metadata.uid, name),
    statusWritten: () => newlyEnded(run.status, decision.status).forEach(place.onAttemptEnded),
    dropped: place.dropped,
  };
  try {
    const applied = await apply({ run, raw, decision }, writers, place.bound);
    tell(applied, pass, place);
    if (applied.stopped?.refusal !== undefined) refusals.note({ uid: run.metadata.uid, key }, applied.stopped.refusal);
    return outcomeOf(applied, decision);
  } catch (error) {
    return outcomeOfError(error);
  }
}

/** Publishes what the pass has made true, and what the API server would not have. */
function tell(applied: Applied, { raw, decision }: Pass, place: Place): void {
  const { status, done, stopped, unmended } = applied;
  if (status.kind !== "Whole" && !isBeyondOurRights(status.refusal)) {
    const event = { type: "Warning", reason: "StatusRefused", message: refusalWords(status) } as const;
    publish(event, raw, place);
  }
  const pass = { events: decision.events, statusStands: status.kind !== "Refused", decided: decision.actions, done };
  for (const event of place.runEvents.due(raw.metadata.uid, pass)) publish(event, raw, place);
  // A refused creation is observed, so the next decision tells of it in its own words.
  const errors = [stopped?.refusal === undefined ? stopped?.error : undefined, unmended];
  for (const { message } of errors.filter(isRefusal)) {
    publish({ type: "Warning", reason: "WriteRefused", message }, raw, place);
  }
}

function outcomeOf({ status, stopped, unmended }: Applied, { requeueAfterMs }: Decision): PassOutcome {
  if (status.kind === "Refused") {
    if (isBeyondOurRights(status.refusal)) throw status.refusal;
    return { kind: "Again", why: refusalWords(status) };
  }
  if (stopped?.refusal !== undefined) {
    const { kind, name, message } = stopped.refusal;
    return { kind: "Again", why: `${kind} ${name} was refused: ${message}` };
  }
  if (stopped !== undefined) return outcomeOfError(stopped.error);
  if (unmended !== undefined) return outcomeOfError(unmended);
  return { kind: "Settled", requeueAfterMs: Math.min(requeueAfterMs ?? Number.POSITIVE_INFINITY, lookAgainMs()) };
}

function outcomeOfError(error: unknown): PassOutcome {
  if (isConflict(error) || error instanceof OldPictureError)
    return { kind: "Again", why: `the picture was old: ${String(error)}` };
  // The run, or its namespace, went away under the decision; its deletion is told by the watch.
  if (isNotFound(error)) return { kind: "Again", why: `an object was gone: ${String(error)}` };
  throw error;
}

function publish({ type, reason, message }: RunEvent, raw: KubeObject, { recorder }: Reconciler): void {
  recorder.tell({ regarding: raw, resource: trainingRuns, type, reason, action: "Decided", note: message });
}

/** Counted for good: what the end of a gang costs may be open for a while. */
function newlyEnded(before: TrainingRunStatus, after: TrainingRunStatus): readonly AttemptEntry[] {
  const isCounted = (entry: AttemptEntry) => entry.cause !== undefined && !isUndecided(entry);
  const known = new Set((before.attempts ?? []).filter(isCounted).map(({ number }) => number));
  return (after.attempts ?? []).filter((entry) => isCounted(entry) && !known.has(entry.number));
}
