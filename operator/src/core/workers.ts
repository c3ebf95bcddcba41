import type { AttemptEntry } from "../api/status.ts";
import type { ObservedPod } from "./observed.ts";

type RecordedPod = AttemptEntry["pods"][number];

/** How many pods an attempt has, whatever the spec says since it began. */
export function workersOf({ workers = 1 }: Pick<AttemptEntry, "workers">): number {
  return workers;
}

/** Which worker a recorded pod is. */
export function workerOf({ pods }: Pick<AttemptEntry, "pods">, pod: RecordedPod): number {
  return pod.worker ?? pods.indexOf(pod);
}

/**
 * The workers of an attempt that never had a pod: some of a gang may have been refused, or not come to before the operator
 * ended. They alone are given one. One whose pod is on record and gone is not: it may have trained.
 */
export function missingWorkers(entry: AttemptEntry, seen: readonly Pick<ObservedPod, "worker">[]): number[] {
  const had = new Set([...entry.pods.map((pod) => workerOf(entry, pod)), ...seen.map(({ worker }) => worker)]);
  return Array.from({ length: workersOf(entry) }, (_, worker) => worker).filter((worker) => !had.has(worker));
}
