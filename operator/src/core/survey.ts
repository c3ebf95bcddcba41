import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { isTheRuns } from "./alteration.ts";
import type { Member } from "./cause.ts";
import { isUndecided, openEntry } from "./ledger.ts";
import { podName } from "./names.ts";
import type { Instant, Observed, ObservedNode, ObservedPod } from "./observed.ts";
import { mayRunUnseen, type PodEnd, podEnd } from "./pod-end.ts";
import { missingWorkers } from "./workers.ts";

/** A pod with the judgement whether it can still run. */
export type SurveyedPod = Readonly<{ pod: ObservedPod; end: PodEnd }>;

/** A pod as the ledger has it. */
export type RecordedPod = AttemptEntry["pods"][number];

/** The run's pods by the part they play. Pods that the run neither owns nor has on record play none (I7). */
export type Survey = Readonly<{
  entry: AttemptEntry | null;
  /** Pods of the open attempt: the recorded ones, or those still to be recorded. */
  members: readonly SurveyedPod[];
  /** Every other pod of the run: of closed attempts, or beside a recorded one. They are not counted again. */
  others: readonly SurveyedPod[];
  /** Recorded pods that are certainly gone. */
  gone: readonly RecordedPod[];
  /** Recorded pods that are gone from the API, and that a silent node may still run. */
  unseen: readonly RecordedPod[];
  /** A recorded pod is neither seen nor known to be gone: the picture is too old to decide on. */
  unsure: boolean;
  /** Set once nothing of the open attempt can run any more. */
  ended: Readonly<{ at: Instant; unreported: boolean }> | null;
}>;

/** Sorts what was observed by what status says of the attempts. */
export function survey(observed: Observed, status: TrainingRunStatus): Survey {
  const entry = openEntry(status);
  const recorded = entry?.pods ?? [];
  const isRecorded = (uid: string) => recorded.some((pod) => pod.uid === uid);
  const owned = observed.pods
    .filter((pod) => isTheRuns(observed.run, pod) || isRecorded(pod.uid))
    .toSorted((a, b) => a.attempt - b.attempt || a.worker - b.worker || (a.uid < b.uid ? -1 : 1))
    .map((pod) => ({ pod, end: endOf(pod, observed, status) }));
  const missing = entry === null ? [] : missingWorkers(entry, []);
  const isAwaited = (pod: ObservedPod) => isNamedByUs(pod, observed.run) && missing.includes(pod.worker);
  const isMember = ({ pod }: SurveyedPod) => pod.attempt === entry?.number && (isRecorded(pod.uid) || isAwaited(pod));
  const members = owned.filter(isMember);
  const seen = new Set(members.map(({ pod }) => pod.uid));
  const unseenYet = recorded.filter(({ uid }) => !seen.has(uid));
  const removed = unseenYet.filter(({ uid }) => observed.gone.includes(uid));
  const isGivenUp = entry !== null && wasGivenUp(entry.number, status);
  const unseen = isGivenUp ? [] : removed.filter(({ node }) => mayRunUnseen(nodeOf(node, observed)));
  const gone = removed.filter((pod) => !unseen.includes(pod));
  return {
    entry,
    members,
    others: owned.filter((each) => !isMember(each)),
    gone,
    unseen,
    unsure: unseenYet.length > removed.length,
    ended: unseen.length > 0 ? null : endOfAttempt(members, { gone, now: observed.now }),
  };
}

/**
 * The nodes that a decision about the run may depend on: of its pods, and of the recorded ones that are gone, where their
 * attempt lives or it is not settled yet what its end costs.
 */
export function nodeNamesOf(run: TrainingRun, pods: readonly ObservedPod[]): string[] {
  const unsettled = run.status.attempts?.filter(isUndecided) ?? [];
  const recorded = [openEntry(run.status), ...unsettled].flatMap((entry) => entry?.pods ?? []);
  return [...new Set([...pods, ...recorded].flatMap(({ node }) => node ?? []))].toSorted();
}

/** The attempt's pods as the classifier wants them. */
export function membersOf(scene: Survey, observed: Observed): Member[] {
  return [
    ...scene.members.map(
      ({ pod }): Member => ({
        kind: "Pod",
        pod,
        node: nodeOf(pod.node, observed),
        report: observed.reports.find(({ podUid }) => podUid === pod.uid),
      }),
    ),
    ...scene.gone.map((pod) => goneMember(pod, observed)),
  ];
}

/** The attempt's pods that are gone from the API, and that a silent node may still run: of a gang they are lost all the same. */
export function unseenMembers(scene: Survey, observed: Observed): Member[] {
  return scene.unseen.map((pod) => goneMember(pod, observed));
}

function goneMember({ uid, node }: RecordedPod, observed: Observed): Member {
  return { kind: "Gone", uid, bound: node !== undefined, node: nodeOf(node, observed) };
}

function endOf(pod: ObservedPod, observed: Observed, status: TrainingRunStatus): PodEnd {
  const end = podEnd(pod, nodeOf(pod.node, observed), observed.now);
  const isGivenUp = end.kind === "Alive" && wasGivenUp(pod.attempt, status);
  return isGivenUp ? { kind: "Ended", at: observed.now, unreported: true } : end;
}

/** What still runs of an attempt that was given up is shut out by the log, and nobody waits for it. */
function wasGivenUp(attempt: number, { fencedAttempt = 0 }: TrainingRunStatus): boolean {
  return attempt <= fencedAttempt;
}

/** A copy of a pod carries its labels and its owner, but never its name: so there is one pod for each worker. */
export function isNamedByUs({ name, attempt, worker }: ObservedPod, run: TrainingRun): boolean {
  return name === podName(run, attempt, worker);
}

function nodeOf(name: string | null | undefined, { nodes }: Observed): ObservedNode | undefined {
  return nodes.find((node) => node.name === name);
}

function endOfAttempt(
  members: readonly SurveyedPod[],
  { gone, now }: { gone: readonly RecordedPod[]; now: Instant },
): Survey["ended"] {
  if (members.length === 0) return gone.length > 0 ? { at: now, unreported: true } : null;
  const ends = members.flatMap(({ end }) => (end.kind === "Ended" ? [end] : []));
  if (ends.length < members.length) return null;
  return { at: Math.max(...ends.map(({ at }) => at)), unreported: ends.some(({ unreported }) => unreported) };
}
