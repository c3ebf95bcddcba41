import type { TrainingRun } from "../api/training-run.ts";
import { openEntry } from "../core/ledger.ts";
import { podName } from "../core/names.ts";
import { observeRecorded, type RecordedPlace } from "../core/observe-pod.ts";
import type { ObservedPod } from "../core/observed.ts";
import type { ApiClient, Bound } from "../kubernetes/client.ts";
import type { KubeObject } from "../kubernetes/kube-object.ts";
import { pods } from "../kubernetes/resource.ts";
import type { Caches } from "./caches.ts";
import { readLive } from "./read-live.ts";

/** Of the pods that the ledger names: those that are there, and the uids of those that certainly are not. */
export type RecordedPods = Readonly<{ found: readonly ObservedPod[]; gone: readonly string[] }>;

/**
 * Reads the recorded pods of the living attempt by their names and uids, whatever their labels say by now. What the copy
 * lacks is asked of the server: a pod whose label somebody took is not in the copy any more, and may still train.
 */
export async function readRecorded(
  run: TrainingRun,
  live: Readonly<{ caches: Pick<Caches, "pods">; client: ApiClient; bound: Bound }>,
): Promise<RecordedPods> {
  const entry = openEntry(run.status);
  const { namespace } = run.metadata;
  const verdicts = await Promise.all(
    (entry?.pods ?? []).map(async ({ uid, worker }, index) => {
      const place = { attempt: entry?.number ?? 0, worker: worker ?? index };
      const name = podName(run, place.attempt, place.worker);
      const cached = live.caches.pods.get(`${namespace}/${name}`);
      const raw = cached?.metadata.uid === uid ? cached : await readLive(pods, { namespace, name }, live);
      return { uid, verdict: judgeRecorded(raw, run, { ...place, uid }) };
    }),
  );
  return {
    found: verdicts.flatMap(({ verdict }) => (typeof verdict === "string" ? [] : [verdict])),
    gone: verdicts.flatMap(({ uid, verdict }) => (verdict === "Gone" ? [uid] : [])),
  };
}

/** What stands under the name of a recorded pod. One that cannot be read may still train: it is not gone. */
export function judgeRecorded(
  raw: KubeObject | undefined,
  run: TrainingRun,
  recorded: RecordedPlace & Readonly<{ uid: string }>,
): ObservedPod | "Gone" | "Unreadable" {
  if (raw?.metadata.uid !== recorded.uid) return "Gone";
  return observeRecorded(raw, run, recorded) ?? "Unreadable";
}
