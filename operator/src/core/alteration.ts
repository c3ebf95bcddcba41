import type { AttemptEntry } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { isTold } from "./conditions.ts";
import type { Action } from "./decision.ts";
import { add, type Draft } from "./draft.ts";
import { controllerReference, podLabels } from "./names.ts";
import { ownerReferenceWord } from "./observe-pod.ts";
import type { Observed, ObservedPod } from "./observed.ts";
import { progressing } from "./progressing.ts";
import { type QueueMetadata, queueMetadata, withPlaceFound } from "./queue-metadata.ts";
import type { Survey } from "./survey.ts";

/**
 * Puts back what somebody changed on the attempt's pods, and says so for as long as it does not stand: by their labels pods
 * are found, and by their owner they go with the run. The attempt is what it was; it only is not closed meanwhile.
 */
export function withPodsMended(observed: Observed, draft: Draft, { members, entry }: Survey): Draft {
  const pods = members.map(({ pod }) => pod);
  const altered = pods.filter((pod) => pod.altered.length > 0);
  if (altered.length === 0) return draft;
  const placed = entry === null ? null : withPlaceFound(observed.run, entry, pods);
  const words = altered.map((pod) => wordsOf(observed.run, pod)).join(" ");
  const said = draft.status.conditions?.find(({ type }) => type === "Progressing");
  const message = [said?.message ?? "", words].filter((each) => each !== "").join(" ");
  const statement = progressing(said?.status ?? "Unknown", said?.reason ?? "PodAltered", message);
  const before = observed.run.status.conditions?.find(({ type }) => type === "Progressing")?.message ?? "";
  const isNews = !(isTold(observed.run.status.conditions, statement) && before.endsWith(words));
  return add(draft, observed, {
    // What was said already has the words in it, where this pass said nothing else.
    statements: said?.message.endsWith(words) ? [] : [statement],
    actions: altered.flatMap((pod) => mendingOf(observed.run, pod, placed)),
    events: isNews ? [{ type: "Warning", reason: "PodAltered", message: words.slice(0, 1024) }] : [],
  });
}

/** What is to be put back on a pod. */
export type Mending = Extract<Action, { kind: "MendPod" }>;

/**
 * The write that puts back what is changed; none where somebody else has become the owner, who is asked to give way. What
 * its queue knows it by goes with it: whoever took all labels took those.
 */
export function mendingOf(run: TrainingRun, pod: ObservedPod, entry: AttemptEntry | null): Mending[] {
  if (pod.altered.length === 0 || isTakenOver(run, pod)) return [];
  const { name, uid } = pod;
  const labels = podLabels(run, pod);
  return [{ kind: "MendPod", name, uid, labels, ...queuedBy(run, entry), owner: controllerReference(run) }];
}

/** Of an attempt that keeps no place it is not known where it was put. */
function queuedBy(run: TrainingRun, entry: AttemptEntry | null): Readonly<{ queue?: QueueMetadata }> {
  return entry?.queue === undefined ? {} : { queue: queueMetadata(run, entry) };
}

/** Whose a pod is that has the name of one of the attempt's: the run's by its owner, and where it has none, by all of its labels. */
export function isTheRuns(run: TrainingRun, { ownerUid, altered }: Pick<ObservedPod, "ownerUid" | "altered">): boolean {
  if (ownerUid !== null) return ownerUid === run.metadata.uid;
  return altered.length > 0 && isWholeButOwner(altered);
}

/** What to do about a pod of that name that bears all of the attempt's labels, and that somebody else owns; empty of others. */
export function takeoverWords(run: TrainingRun, pod: ObservedPod): string {
  return isTakenOver(run, pod) && isWholeButOwner(pod.altered) ? wordsOf(run, pod) : "";
}

function isWholeButOwner(altered: readonly string[]): boolean {
  return altered.every((word) => word === ownerReferenceWord);
}

function isTakenOver(run: TrainingRun, { ownerUid }: ObservedPod): boolean {
  return ownerUid !== null && ownerUid !== run.metadata.uid;
}

function wordsOf(run: TrainingRun, pod: ObservedPod): string {
  const what = pod.altered.map((word) => (word === ownerReferenceWord ? word : `the label ${word}`)).join(", ");
  return isTakenOver(run, pod)
    ? `Somebody made the object with uid ${pod.ownerUid} the owner of the pod ${pod.name}: take that out of its ownerReferences. Until then no other attempt follows this one.`
    : `Somebody changed ${what} of the pod ${pod.name}; it is put back, and no other attempt follows this one before.`;
}
