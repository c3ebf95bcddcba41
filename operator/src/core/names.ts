import { apiVersion, kind, labels } from "../api/names.ts";
import type { TrainingRun } from "../api/training-run.ts";

/** Name of a worker's pod: deterministic, so that a repeated creation is `AlreadyExists` and no second pod. */
export function podName(run: TrainingRun, attempt: number, worker: number): string {
  return `${run.metadata.name}-${attempt}-${worker}`;
}

/** Name of the claim the run uses: its own, which carries its uid, or the user's; null without a volume. */
export function claimNameOf(run: TrainingRun): string | null {
  const volume = run.spec.checkpoint.volume;
  if (volume === undefined) return null;
  return volume.claimName ?? `${run.metadata.name}-${run.metadata.uid.slice(0, 8)}`;
}

/**
 * Name under which a queue knows the pods of a gang: of this attempt alone, and of this run, whose namesake may come while
 * the queue still has the last one's on its books.
 */
export function queueGroupName(run: TrainingRun, attempt: number): string {
  return `${run.metadata.name}-${run.metadata.uid.slice(0, 8)}-${attempt}`;
}

/** Name of a gang's Service, which is the domain of its pods: `<pod>.<run>`. */
export function serviceName({ metadata }: TrainingRun): string {
  return metadata.name;
}

/** Name of the pod that removes the objects of a deleted run. No training pod has it: theirs end in two numbers. */
export function removalPodName({ metadata }: TrainingRun): string {
  return `${metadata.name}-delete-${metadata.uid.slice(0, 8)}`;
}

/** Labels of everything made for a run. */
export function runLabels(run: TrainingRun): Record<string, string> {
  return { [labels.run]: run.metadata.name, [labels.runUid]: run.metadata.uid };
}

/** Labels of a training pod: by them it is found, and told from those of other attempts. */
export function podLabels(run: TrainingRun, { attempt, worker }: { attempt: number; worker: number }) {
  return { ...runLabels(run), [labels.attempt]: String(attempt), [labels.worker]: String(worker) };
}

/** What makes a training pod the run's: it goes with the run, and nobody else controls it. */
export function controllerReference({ metadata: { name, uid } }: TrainingRun) {
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true } as const;
}
