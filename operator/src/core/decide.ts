import { managedBy } from "../api/names.ts";
import { statusLimits, type TrainingRunStatus } from "../api/status.ts";
import { decideNext } from "./begin.ts";
import { releaseDeadline } from "./deadline.ts";
import type { Decision } from "./decision.ts";
import { decideDeletion } from "./deletion.ts";
import { add, type Draft, decisionOf, draftOf } from "./draft.ts";
import { type AttemptFacts, factsOf } from "./facts.ts";
import { decideFinished, isFinished } from "./finished.ts";
import { healthStatements, refusalEvents } from "./health.ts";
import { learn } from "./learn.ts";
import type { Observed } from "./observed.ts";
import { durabilityOf } from "./pod-environment.ts";
import type { PodSettings } from "./pod-settings.ts";
import { resumeEvents } from "./resume-events.ts";
import { settle } from "./settle.ts";
import { stopFor } from "./stop.ts";
import { type Survey, survey } from "./survey.ts";
import { decideLive } from "./tend.ts";

const unsureRetryMs = 1000;

/**
 * The one place where it is decided what happens to a run:
 *
 *   survey ─► learn ─► stop? ─► settle ─┬─► deleted:  save, let go
 *   (pods)   (mirror)  (intent) (ledger)├─► finished: keep
 *                                       ├─► an attempt lives: tend
 *                                       └─► none does: begin the next one, or say why not
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
  const stop = stopFor(observed, learned.status, first);
  const intended = stop === null ? learned : { ...learned, status: { ...learned.status, stop } };
  const settled = settle(observed, intended, first);
  return decisionOf(branch(observed, settled, settings));
}

/** A deleted run is let go in time even where its pod cannot be judged (L5). */
function isOverdue({ run, now }: Observed): boolean {
  return run.metadata.deletionTimestamp !== undefined && now >= releaseDeadline(run, run.status, []);
}

function branch(observed: Observed, draft: Draft, settings: PodSettings): Draft {
  const scene = survey(observed, draft.status);
  if (observed.run.metadata.deletionTimestamp !== undefined)
    return decideDeletion(observed, draft, { scene, settings });
  if (isFinished(draft)) return decideFinished(observed, draft, scene);
  if (scene.entry !== null) return decideLive(observed, draft, { scene, settings });
  return decideNext(observed, draft, { scene, settings });
}

/** Worker 0 speaks for the attempt: it alone appends to the log. */
function factsOfLeader({ reports, run }: Observed, { members }: Survey): AttemptFacts | null {
  const leader = members[0]?.pod;
  if (leader === undefined) return null;
  return factsOf(
    leader,
    reports.find(({ podUid }) => podUid === leader.uid),
    durabilityOf(run),
  );
}

/**
 * Writes down which pods are the attempt's, so that one that vanishes is missed, and lifts the attempt's number
 * above any that a pod carries: it never falls, even if the status was set back (I8).
 */
function recordPods(status: TrainingRunStatus, { entry, members }: Survey, { pods, run }: Observed): TrainingRunStatus {
  const numbers = pods.filter(({ ownerUid }) => ownerUid === run.metadata.uid).map(({ attempt }) => attempt);
  const lifted = { ...status, attempt: Math.max(status.attempt ?? 0, ...numbers) };
  const [newest, ...earlier] = lifted.attempts ?? [];
  if (entry === null || newest === undefined || members.length === 0) return lifted;
  const known = newest.pods.length > 0 ? newest.pods : members.map(({ pod: { uid } }) => ({ uid }));
  // Their places say which worker each is, so they keep them.
  const recorded = known.map((each) => {
    const node = members.find(({ pod }) => pod.uid === each.uid)?.pod.node ?? null;
    return node === null ? each : { ...each, node };
  });
  return { ...lifted, attempts: [{ ...newest, pods: recorded.slice(0, statusLimits.livePods) }, ...earlier] };
}

function mirror(observed: Observed, status: TrainingRunStatus, facts: AttemptFacts | null): Draft {
  return add(draftOf(status), observed, {
    statements: healthStatements(observed.run, status, facts),
    events: [...refusalEvents(observed.run.status, status), ...resumeEvents(observed.run.status, status)],
  });
}
