import type { AttemptEntry, TrainingRunStatus } from "../api/status.ts";
import type { Member } from "./cause.ts";
import { openEntry } from "./ledger.ts";
import type { Instant, Observed, ObservedPod } from "./observed.ts";
import { type PodEnd, podEnd } from "./pod-end.ts";

/** A pod with the judgement whether it can still run. */
export type SurveyedPod = Readonly<{ pod: ObservedPod; end: PodEnd }>;

/** The run's pods by the part they play. Pods that the run does not own play none (I7). */
export type Survey = Readonly<{
  entry: AttemptEntry | null;
  /** Pods of the open attempt: the recorded ones, or those still to be recorded. */
  members: readonly SurveyedPod[];
  /** Every other pod of the run: of closed attempts, or beside a recorded one. They are not counted again. */
  others: readonly SurveyedPod[];
  /** Uids of recorded pods that are certainly gone. */
  gone: readonly string[];
  /** A recorded pod is neither seen nor known to be gone: the picture is too old to decide on. */
  unsure: boolean;
  /** Set once nothing of the open attempt can run any more. */
  ended: Readonly<{ at: Instant; unreported: boolean }> | null;
}>;

/** Sorts what was observed by what status says of the attempts. */
export function survey(observed: Observed, status: TrainingRunStatus): Survey {
  const entry = openEntry(status);
  const owned = observed.pods
    .filter(({ ownerUid }) => ownerUid === observed.run.metadata.uid)
    .toSorted((a, b) => a.attempt - b.attempt || a.worker - b.worker || (a.uid < b.uid ? -1 : 1))
    .map((pod) => ({ pod, end: endOf(pod, observed) }));
  const recorded = entry?.pods.map(({ uid }) => uid) ?? [];
  const isMember = ({ pod }: SurveyedPod) =>
    entry !== null && pod.attempt === entry.number && (recorded.length === 0 || recorded.includes(pod.uid));
  const members = owned.filter(isMember);
  const seen = new Set(members.map(({ pod }) => pod.uid));
  const gone = recorded.filter((uid) => !seen.has(uid) && observed.gone.includes(uid));
  return {
    entry,
    members,
    others: owned.filter((each) => !isMember(each)),
    gone,
    unsure: recorded.some((uid) => !seen.has(uid) && !gone.includes(uid)),
    ended: endOfAttempt(members, { gone, now: observed.now }),
  };
}

/** The attempt's pods as the classifier wants them. */
export function membersOf(scene: Survey, observed: Observed): Member[] {
  return [
    ...scene.members.map(
      ({ pod }): Member => ({
        kind: "Pod",
        pod,
        node: observed.nodes.find(({ name }) => name === pod.node),
        report: observed.reports.find(({ podUid }) => podUid === pod.uid),
      }),
    ),
    ...scene.gone.map((uid): Member => ({ kind: "Gone", uid })),
  ];
}

function endOf(pod: ObservedPod, { nodes, now }: Observed): PodEnd {
  return podEnd(
    pod,
    nodes.find(({ name }) => name === pod.node),
    now,
  );
}

function endOfAttempt(
  members: readonly SurveyedPod[],
  { gone, now }: { gone: readonly string[]; now: Instant },
): Survey["ended"] {
  if (members.length === 0) return gone.length > 0 ? { at: now, unreported: true } : null;
  const ends = members.flatMap(({ end }) => (end.kind === "Ended" ? [end] : []));
  if (ends.length < members.length) return null;
  return { at: Math.max(...ends.map(({ at }) => at)), unreported: ends.some(({ unreported }) => unreported) };
}
