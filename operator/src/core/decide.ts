import { managedBy } from "../api/names.ts";
import { type AttemptEntry, type Stop, statusLimits, type TrainingRunStatus } from "../api/status.ts";
import { decideNext } from "./begin.ts";
import { releaseDeadline } from "./deadline.ts";
import type { Decision } from "./decision.ts";
import { decideDeletion } from "./deletion.ts";
import { add, type Draft, decisionOf, draftOf } from "./draft.ts";
import { type AttemptFacts, factsOf } from "./facts.ts";
import { type Fencing, fencing, stopBeforeFence, withFencing } from "./fencing.ts";
import { decideFinished, isFinished } from "./finished.ts";
import { graceNeeded } from "./grace-period.ts";
import { healthEvents, healthStatements, refusalEvents } from "./health.ts";
import { heldAgain } from "./housekeeping.ts";
import { learn } from "./learn.ts";
import type { Instant, Observed, ObservedPod } from "./observed.ts";
import { durabilityOf } from "./pod-environment.ts";
import type { PodSettings } from "./pod-settings.ts";
import { resumeEvents } from "./resume-events.ts";
import { settle } from "./settle.ts";
import { stopFor } from "./stop.ts";
import { isNamedByUs, type Survey, survey } from "./survey.ts";
import { decideLive } from "./tend.ts";
import { decideCharges } from "./undecided-charge.ts";
import { workersOf } from "./workers.ts";

/** Only a pod that cannot be read at all makes unsure, which does not pass by itself. */
const unsureRetryMs = 15_000;

/**
 * The one place where it is decided what happens to a run:
 *
 *   survey ─► learn ─► stop? ─► fence? ─► settle ─┬─► deleted:  save, let go
 *   (pods)   (mirror)  (intent) (silence) (ledger)├─► finished: keep
 *                                                 ├─► an attempt lives: tend
 *                                                 └─► none does: begin the next one, or say why not
 *
 * Pure: the same observation gives the same decision. Whatever stands in the returned status is written before
 * the returned actions are done, so a crash between any two of them is repaired by deciding again.
 */
export function decide(observed: Observed, settings: PodSettings): Decision {
  const { run } = observed;
  if ((run.spec.managedBy ?? managedBy) !== managedBy) return { status: run.status, actions: [], events: [] };
  const first = survey(observed, run.status);
  if (first.unsure && !isOverdue(observed))
    return { status: run.status, actions: [], events: [], requeueAfterMs: unsureRetryMs };
  const facts = factsOfLeader(observed, first);
  const learned = mirror(observed, recordPods(learn(run, facts), first, observed), facts);
  const fate = fencing(observed, learned.status, first);
  const stop = stopFor(observed, learned.status, first) ?? stopForSilence(fate, learned.status, observed.now);
  const intended = stop === null ? learned : { ...learned, status: { ...learned.status, stop } };
  const judged = withFencing(intended, fate);
  const settled = settle(observed, judged, fate.kind === "Fence" ? survey(observed, judged.status) : first);
  return decisionOf(branch(observed, decideCharges(observed, settled), settings));
}

function stopForSilence(fate: Fencing, { stop }: TrainingRunStatus, now: Instant): Stop | null {
  const due = stopBeforeFence(fate, now);
  return due?.attempt === stop?.attempt ? null : due;
}

/** A deleted run is let go in time even where its pod cannot be judged (L5). */
function isOverdue({ run, now }: Observed): boolean {
  return run.metadata.deletionTimestamp !== undefined && now >= releaseDeadline(run, run.status, []);
}

function branch(observed: Observed, unheld: Draft, settings: PodSettings): Draft {
  const draft = add(unheld, observed, heldAgain(observed));
  const scene = survey(observed, draft.status);
  if (observed.run.metadata.deletionTimestamp !== undefined)
    return decideDeletion(observed, draft, { scene, settings });
  if (isFinished(draft)) return decideFinished(observed, draft, scene);
  if (scene.entry !== null) return decideLive(observed, draft, { scene, settings });
  return decideNext(observed, draft, { scene, settings });
}

/** Worker 0 speaks for the attempt: it alone appends to the log. */
function factsOfLeader({ reports, run }: Observed, { members }: Survey): AttemptFacts | null {
  const leader = members.find(({ pod }) => pod.worker === 0)?.pod;
  if (leader === undefined) return null;
  return factsOf(
    leader,
    reports.find(({ podUid }) => podUid === leader.uid),
    durabilityOf(run),
  );
}

/**
 * Writes down which pods are the attempt's, so that one that vanishes is missed, and lifts the attempt's number
 * above any that a pod carries or has found in the log: it never falls, even if the status was set back (I8).
 */
function recordPods(status: TrainingRunStatus, { entry, members }: Survey, { pods, run }: Observed): TrainingRunStatus {
  const owned = pods.filter(({ ownerUid }) => ownerUid === run.metadata.uid);
  // A number that somebody wrote on a pod by hand is none of ours: lifted to it, the run could not go back.
  const numbers = owned.filter((pod) => isNamedByUs(pod, run)).flatMap(numbersOf);
  const lifted = { ...status, attempt: Math.max(status.attempt ?? 0, ...numbers) };
  const [newest, ...earlier] = lifted.attempts ?? [];
  if (entry === null || newest === undefined || members.length === 0) return lifted;
  const fresh = members.filter(({ pod }) => !newest.pods.some(({ uid }) => uid === pod.uid));
  // One that is on record keeps its place, by which it is known.
  const recorded = [...newest.pods, ...fresh.map(({ pod }) => placed(newest, pod))].map((each) => {
    const node = members.find(({ pod }) => pod.uid === each.uid)?.pod.node ?? null;
    return node === null ? each : { ...each, node };
  });
  return { ...lifted, attempts: [{ ...newest, pods: recorded.slice(0, statusLimits.livePods) }, ...earlier] };
}

function placed(entry: AttemptEntry, { uid, worker }: ObservedPod): AttemptEntry["pods"][number] {
  return workersOf(entry) > 1 ? { uid, worker } : { uid };
}

/** A pod's own number, and the one above which the log would have it, where the status was set back below that (I8). */
function numbersOf({ attempt, agent, restore }: ObservedPod): number[] {
  const records = [agent.record, restore?.record ?? null];
  const higher = records.flatMap((record) =>
    record?.kind === "restore-failed" && record.attempt === attempt ? (record.fencedBy ?? []) : [],
  );
  return [attempt, ...higher];
}

function mirror(observed: Observed, learned: TrainingRunStatus, facts: AttemptFacts | null): Draft {
  const status = { ...learned, ...graceNeeded(observed.run, learned, facts) };
  return add(draftOf(status), observed, {
    statements: healthStatements(observed, status, facts),
    events: [
      ...refusalEvents(observed.run.status, status),
      ...resumeEvents(observed.run.status, status),
      ...healthEvents(observed),
    ],
  });
}
