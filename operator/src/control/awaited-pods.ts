import type { TrainingRun } from "../api/training-run.ts";
import { isTheRuns } from "../core/alteration.ts";
import { openEntry } from "../core/ledger.ts";
import { podName } from "../core/names.ts";
import { observeRecorded } from "../core/observe-pod.ts";
import type { ObservedPod } from "../core/observed.ts";
import { missingWorkers } from "../core/workers.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import { pods } from "../kubernetes/resource.ts";
import type { Caches } from "./caches.ts";
import { readLive } from "./read-live.ts";

/**
 * The pods of the living attempt that stand and are not on record yet, by the names that it gives them, whatever their
 * labels or owners are by now.
 *
 * Once its run is deleted, nobody comes to create them any more who would find them: what the copy lacks is asked of the
 * server, in the passes before the stop is on record. One that lost its owner would otherwise train on for ever.
 */
export async function readAwaited(
  run: TrainingRun,
  live: Readonly<{ caches: Pick<Caches, "pods">; client: ApiClient; bound: Bound }>,
): Promise<readonly ObservedPod[]> {
  const entry = openEntry(run.status);
  if (entry === null) return [];
  const { number: attempt } = entry;
  const { namespace, deletionTimestamp } = run.metadata;
  const asks = deletionTimestamp !== undefined && run.status.stop?.attempt !== attempt;
  const found = await Promise.all(
    missingWorkers(entry, []).map(async (worker) => {
      const name = podName(run, attempt, worker);
      const cached = live.caches.pods.get(`${namespace}/${name}`);
      const raw = cached ?? (asks ? await readLive(pods, { namespace, name }, live) : undefined);
      return raw === undefined ? null : observeRecorded(raw, run, { attempt, worker });
    }),
  );
  return found.flatMap((pod) => (pod !== null && isTheRuns(run, pod) ? [pod] : []));
}
