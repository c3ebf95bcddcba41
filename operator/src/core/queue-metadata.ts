import { labels, queueAnnotations } from "../api/names.ts";
import type { AttemptEntry } from "../api/status.ts";
import type { TrainingRun } from "../api/training-run.ts";
import { queueGroupName } from "./names.ts";
import { workersOf } from "./workers.ts";

/** What a queue for runs reads on a training pod; `annotations` is absent where it reads none. */
export type QueueMetadata = Readonly<{
  labels: Readonly<Record<string, string>>;
  annotations?: Readonly<Record<string, string>>;
}>;

/**
 * The queue that the run is put into, and the place in it, are its pods': a queue for runs knows them by their pods. Those
 * of a gang are one group there, so that all of them are let go or none. Each attempt has a group of its own: a pod that
 * joined the last one's, some of which may still be ending, would be taken for one too many. And nothing is replaced
 * within a group, so that its room is free as soon as all of its pods have ended.
 */
export function queueMetadata(run: TrainingRun, entry: AttemptEntry): QueueMetadata {
  const names: readonly string[] = [labels.queue, labels.queuePriority];
  const place = Object.fromEntries(Object.entries(run.metadata.labels).filter(([name]) => names.includes(name)));
  const isQueued = labels.queue in place || labels.queue in (run.spec.template.metadata?.labels ?? {});
  const workers = workersOf(entry);
  if (!isQueued || workers === 1) return { labels: place };
  return {
    labels: { ...place, [labels.queueGroup]: queueGroupName(run, entry.number) },
    annotations: { [queueAnnotations.groupSize]: String(workers), [queueAnnotations.replaceable]: "false" },
  };
}
