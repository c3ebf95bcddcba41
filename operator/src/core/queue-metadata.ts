import { labels, queueAnnotations } from "../api/names.ts";
import type { AttemptEntry, QueuePlace } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { queueGroupName } from "./names.ts";
import type { ObservedPod } from "./observed.ts";
import { workersOf } from "./workers.ts";

/** What a queue for runs reads on a training pod; `annotations` is absent where it reads none. */
export type QueueMetadata = Readonly<{
  labels: Readonly<Record<string, string>>;
  annotations?: Readonly<Record<string, string>>;
}>;

/**
 * Where the pods of an attempt that begins now are put, by the labels that the run has now; undefined where there is nothing
 * to keep. Pods of a gang that are made later must come to the same place, or the queue would wait for the rest of a group
 * that never comes, with the devices of those that it has let go.
 *
 * Those of a gang are one group there, so that all of them are let go or none. Each attempt has a group of its own: a pod
 * that joined the last one's, some of which may still be ending, would be taken for one too many.
 */
export function queuePlace(
  run: TrainingRun,
  { number, workers }: Readonly<{ number: number; workers: number }>,
): QueuePlace | undefined {
  const asked = placeAsked(run);
  if (workers === 1) return Object.keys(asked).length === 0 ? undefined : asked;
  const isQueued = asked.name !== undefined || labels.queue in (run.spec.template.metadata?.labels ?? {});
  return isQueued ? { ...asked, group: queueGroupName(run, number) } : asked;
}

/**
 * What all pods of an attempt carry, whenever they are made. One that keeps no place has one pod alone, or began with pods
 * that are in no group: they go where the run says, and into none. See {@link withPlaceFound}.
 */
export function queueMetadata(run: TrainingRun, entry: AttemptEntry): QueueMetadata {
  const { name, priorityClass, group } = entry.queue ?? placeAsked(run);
  const carried = {
    ...(name === undefined ? {} : { [labels.queue]: name }),
    ...(priorityClass === undefined ? {} : { [labels.queuePriority]: priorityClass }),
  };
  if (group === undefined) return { labels: carried };
  return {
    labels: { ...carried, [labels.queueGroup]: group },
    // Nothing is replaced within a group, so that its room is free as soon as all of its pods have ended.
    annotations: { [queueAnnotations.groupSize]: String(workersOf(entry)), [queueAnnotations.replaceable]: "false" },
  };
}

/**
 * The entry of a gang that keeps no place, because an older version began it, or wrote on it since, with the place that one
 * of its pods carries: a queue waits for the whole of a group, so those that are still to come must join it. Where none
 * stands yet they are put where the run says, as by that version; where those that stand are in no group, into none.
 */
export function withPlaceFound(
  run: TrainingRun,
  entry: AttemptEntry,
  pods: readonly Pick<ObservedPod, "attempt" | "queue" | "queueGroup">[],
): AttemptEntry {
  const workers = workersOf(entry);
  if (entry.queue !== undefined || workers === 1) return entry;
  const begun = pods.filter(({ attempt }) => attempt === entry.number);
  const { queue: name, queueGroup: group } = begun.find(({ queueGroup }) => queueGroup !== null) ?? noPlace;
  if (group !== null) return { ...entry, queue: { ...placeAsked(run), ...(name === null ? {} : { name }), group } };
  const asked = begun.length > 0 ? undefined : queuePlace(run, { number: entry.number, workers });
  return asked === undefined ? entry : { ...entry, queue: asked };
}

const noPlace = { queue: null, queueGroup: null } as const;

function placeAsked({ metadata }: TrainingRun): QueuePlace {
  const { [labels.queue]: name, [labels.queuePriority]: priorityClass } = metadata.labels;
  return { ...(name === undefined ? {} : { name }), ...(priorityClass === undefined ? {} : { priorityClass }) };
}
